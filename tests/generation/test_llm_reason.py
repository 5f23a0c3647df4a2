import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any, cast, get_args

import pytest

from generation.drafts import Draft
from generation.handlers.llm_reason import run
from generation.jobtypes import LLM_REASON
from generation.prompts import Prompt
from generation.providers import PROVIDERS
from jobs.context import JobContext
from jobs.execution import resolve
from queueproject.env import Config
from queueproject.testing.model_server import OpenAIServer, says

pytestmark = pytest.mark.fast


class Context:
    """What the handler uses of a job's context."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.steps: list[str] = []

    def progress(self, **progress: Any) -> None:
        self.told.append(progress)

    def io(self, name: str, fn: Callable[..., Any], *args: Any) -> Any:
        self.steps.append(name)
        return asyncio.run(fn(*args, idempotency_key=f"job:1:{name}"))


def test_the_job_is_the_providers_answer_as_one_step(ask: Callable[..., Prompt], config: Callable[..., None]) -> None:
    config(llm_provider="scripted", scripted_seconds=0)
    context = Context()
    draft = run(cast(JobContext, context), ask())
    assert isinstance(draft, Draft)
    assert context.steps == ["complete"]
    assert LLM_REASON.adapter.validate_python(draft.model_dump(mode="json")) == draft


def test_progress_tells_how_much_and_never_what(ask: Callable[..., Prompt], config: Callable[..., None]) -> None:
    config(llm_provider="scripted", scripted_seconds=0)
    context = Context()
    draft = run(cast(JobContext, context), ask())
    counts = [told["characters"] for told in context.told]
    assert all(told.keys() == {"characters"} for told in context.told)
    assert counts == sorted(counts)
    assert counts[-1] >= len(draft.text)


def test_the_setting_chooses_who_is_asked_and_the_steps_key_goes_along(
    server: OpenAIServer, ask: Callable[..., Prompt]
) -> None:
    server.will(says("Fine."))
    assert run(cast(JobContext, Context()), ask()).text == "Fine."
    assert server.requests[0].headers["Idempotency-Key"] == "job:1:complete"


def test_the_declared_handler_exists() -> None:
    assert resolve(LLM_REASON.handler) is run
    assert (LLM_REASON.queue, LLM_REASON.started_event) == ("llm", "llm.processing")


def test_every_provider_that_may_be_set_is_there() -> None:
    assert set(get_args(Config.model_fields["llm_provider"].annotation)) == set(PROVIDERS)


def test_the_handler_costs_no_client_until_one_is_chosen() -> None:
    code = (
        "import os, sys, django; os.environ['DEBUG'] = '1'; os.environ['LLM_PROVIDER'] = 'scripted';"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'queueproject.settings'; django.setup();"
        "from generation.handlers import llm_reason; from generation.providers import provider; provider();"
        "sys.exit('openai' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
