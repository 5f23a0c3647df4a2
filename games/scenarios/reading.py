"""Reading a scenario file, YAML or JSON. Each mistake is told with its line and field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from django.conf import settings
from pydantic import JsonValue, ValidationError

from games.scenarios.document import Document
from jobs.changes import UNCLEAN
from jobs.errors import Invalid

SOURCE_CHARACTERS = 200_000
MOST_MISTAKES = 50
MOST_DEPTH = 50
UNICODE = re.compile(r"[\ud800-\udbff][\udc00-\udfff]")


class Line(NamedTuple):
    """A mistake of a file: where, by line (from 1) and field, and what."""

    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.field}: {self.reason}" if self.field else f"line {self.line}: {self.reason}"


class WrongScenario(Invalid):
    """The file can't be used; ``lines`` has every mistake in the order of the file."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = sorted(lines)[:MOST_MISTAKES]
        fields = {line.field or "file": f"line {line.line}: {line.reason}" for line in self.lines}
        super().__init__("; ".join(map(str, self.lines)), code="wrong_scenario", fields=fields)


def read_scenario(source: str) -> Document:
    """The scenario that ``source`` describes; ``WrongScenario`` with everything that is wrong with it."""
    if len(source) > SOURCE_CHARACTERS:
        raise WrongScenario([Line(1, "", f"is longer than {SOURCE_CHARACTERS} characters")])
    tree = _Tree.read(source)
    try:
        document = Document.model_validate(tree.value)
    except ValidationError as error:
        found = [(_path(wrong["loc"]), wrong["msg"].removeprefix("Value error, ")) for wrong in error.errors()]
        raise WrongScenario([tree.line(path, reason) for path, reason in found]) from None
    wrong = [tree.line(path, reason) for path, reason in document.mistakes()]
    if len(json.dumps(document.state)) > settings.CONFIG.payload_bytes // 4:
        wrong.append(tree.line("state", f"is larger than {settings.CONFIG.payload_bytes // 4} bytes as JSON"))
    if len(json.dumps(document.state_schema)) > settings.CONFIG.payload_bytes // 8:
        wrong.append(tree.line("schema", f"is larger than {settings.CONFIG.payload_bytes // 8} bytes as JSON"))
    if wrong:
        raise WrongScenario(wrong)
    return document


def _path(place: tuple[int | str, ...]) -> str:
    """A mistake's place as the file has it: without the kinds of conditions, and with the file's own names."""
    return ".".join(str(part) for part in place if not str(part).startswith("<"))


@dataclass
class _Tree:
    """What stands in the file as plain JSON, and the line of each path."""

    value: JsonValue = None
    lines: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, source: str) -> _Tree:
        text = source.removeprefix("\ufeff")
        if text.lstrip().startswith("{"):
            text = text.replace("\t", " ")  # JSON may be indented with tabs, YAML may not.
        tree = cls()
        try:
            _refuse_bombs(text)
            node = yaml.compose(text, Loader=_PlainLoader)
            tree.value = tree._value(node, "") if node else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise WrongScenario([Line(mark.line + 1 if mark else 1, "", error.problem or "can't be read")]) from None
        except yaml.YAMLError as error:
            raise WrongScenario([Line(1, "", str(error).splitlines()[0])]) from None
        return tree

    def line(self, path: str, reason: str) -> Line:
        """A mistake at this path, at the line of the path or of the nearest one above it."""
        at = path
        while at not in self.lines and at:
            at = at.rpartition(".")[0]
        return Line(self.lines.get(at, 1), path, reason)

    def _value(self, node: yaml.Node, path: str) -> JsonValue:
        self.lines.setdefault(path, node.start_mark.line + 1)
        match node:
            case yaml.MappingNode():
                return dict(self._pairs(node, path))
            case yaml.SequenceNode():
                return [self._value(inner, f"{path}.{n}".lstrip(".")) for n, inner in enumerate(node.value)]
        return self._scalar(node, path)

    def _pairs(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[str, JsonValue]]:
        seen: set[str] = set()
        for key, inner in node.value:
            at = f"{path}.{key.value}".lstrip(".") if isinstance(key, yaml.ScalarNode) else path
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise WrongScenario([Line(line, path, "a key is text")])
            if key.value in seen:
                raise WrongScenario([Line(line, at, "stands here twice")])
            seen.add(key.value)
            self.lines[at] = line
            yield key.value, self._value(inner, at)

    def _scalar(self, node: yaml.Node, path: str) -> JsonValue:
        text = UNICODE.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), node.value)
        line = node.start_mark.line + 1
        match node.tag.rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if len(text) <= 30:
                return int(text)
            case "float" if abs(float(text)) != float("inf"):
                return float(text)
            case "str" if not UNCLEAN.search(text):
                return text
            case "str":
                raise WrongScenario([Line(line, path, "has control characters")])
        raise WrongScenario([Line(line, path, f"{text[:40]!r} is no text, number, true, false or null")])


class _PlainLoader(yaml.SafeLoader):
    """YAML with the values that JSON has: no dates, no octal numbers, and ``no`` is a word."""

    yaml_implicit_resolvers: dict[str, Any] = {}


for _tag, _pattern, _first in (
    ("bool", r"true|True|false|False", "tTfF"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-0123456789"),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _refuse_bombs(text: str) -> None:
    """A file of a few lines could stand for more than any memory holds, or take the parser hours."""
    depth = 0
    for event in yaml.parse(text, Loader=_PlainLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise WrongScenario([Line(line, "", "references (&, *) are not allowed")])
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise WrongScenario([Line(line, "", f"is nested deeper than {MOST_DEPTH} levels")])
