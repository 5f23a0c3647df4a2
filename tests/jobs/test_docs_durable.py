"""The examples of docs/durable-functions.md are run as they stand there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from jobs import registry

pytestmark = pytest.mark.django_db(transaction=True)

GUIDE = Path(__file__).parents[2] / "docs" / "durable-functions.md"
TEXT = GUIDE.read_text()
IMPORTS = re.findall(r"<!-- imports -->\n```python\n(.*?)```", TEXT, re.DOTALL)[0]
EXAMPLES = dict(
    re.findall(r"^### (\d+\. [^\n]+)\n(?:(?!\n#|```).)*```python\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)
)


def test_the_guide_has_its_examples() -> None:
    assert [title.partition(".")[0] for title in EXAMPLES] == [str(n) for n in range(1, 12)]


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_of_the_guide_does_what_it_says(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_job_types", registry.versions())
    module = ModuleType(f"guide_example_{title.partition('.')[0]}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(IMPORTS + EXAMPLES[title], f"{GUIDE.name}: {title}", "exec"), module.__dict__)
