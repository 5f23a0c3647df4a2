import asyncio
import json
import resource
import time
import traceback
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from generation.drafts import Draft, Usage
from generation.errors import GenerationError
from generation.prompts import Prompt
from generation.providers.openai_compatible import OpenAICompatible
from jobs.errors import HandlerError, PermanentError, RetryLater
from queueproject.testing.model_server import (
    Behaviour,
    OpenAIServer,
    answers,
    breaks_after,
    chunk,
    error_without_end,
    never_ends,
    says,
    says_much,
    says_slowly,
    silent,
    status,
    streams,
)

pytestmark = pytest.mark.fast

TOLD = """The cellar door swings open.

```json
[{"path": "doors.cellar", "op": "set", "value": "open"}]
```"""


def complete(prompt: Prompt, on_text: Callable[[str], None] | None = None) -> Draft:
    return asyncio.run(OpenAICompatible().complete(prompt, idempotency_key="job:1:complete", on_text=on_text))


def failure(prompt: Prompt) -> HandlerError:
    with pytest.raises(HandlerError) as raised:
        complete(prompt)
    return raised.value


def test_an_answer_becomes_a_draft_with_changes_and_what_was_there(
    server: OpenAIServer, ask: Callable[..., Prompt]
) -> None:
    server.will(says(TOLD))
    draft = complete(ask())
    assert draft.text == "The cellar door swings open."
    assert [made.model_dump() for made in draft.changes] == [
        {"path": "doors.cellar", "op": "set", "value": "open", "was": "closed"}
    ]
    assert (draft.notes, draft.model, draft.finish) == ([], "tiny-1", "stop")
    assert draft.usage == Usage(prompt_tokens=21, completion_tokens=8)


def test_the_request_says_what_is_wanted_and_carries_key_and_idempotency_key(
    server: OpenAIServer, ask: Callable[..., Prompt]
) -> None:
    server.will(says(TOLD))
    complete(ask(feedback="less gold"))
    request = server.requests[0]
    system, user = (message["content"] for message in request.body["messages"])
    assert request.path == "/v1/chat/completions"
    assert (request.body["model"], request.body["stream"]) == ("tiny", True)
    assert request.headers["Authorization"] == "Bearer sk-secret"
    assert request.headers["Idempotency-Key"] == "job:1:complete"
    assert "```json" in system
    assert all(part in user for part in ("Rain hammers", '"gold": 12', "Mira", "cellar door", "less gold"))


def test_a_server_without_a_key_is_asked_without_ours(
    server: OpenAIServer, ask: Callable[..., Prompt], config: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-meant-for-another-server")
    config(llm_api_key="")
    server.will(says("Fine."))
    assert complete(ask()).text == "Fine."
    assert server.requests[0].headers["Authorization"] == "Bearer none"


def test_each_piece_of_text_is_told_as_it_comes(server: OpenAIServer, ask: Callable[..., Prompt]) -> None:
    server.will(says("One two three."))
    pieces: list[str] = []
    complete(ask(), pieces.append)
    assert pieces == ["One ", "two ", "three. "]


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(says("Fine.", usage=None), id="no usage"),
        pytest.param(says("Fine.", usage={"prompt_tokens": "many"}), id="odd usage"),
        pytest.param(
            streams(b": keep-alive\n\n", chunk({"content": "Fine."}), b":\n\n", chunk({}, "stop")), id="keep-alives"
        ),
        pytest.param(
            streams(
                {"choices": []},
                {"choices": None},
                {"choices": 7},
                {"model": None, "choices": [{}, None, {"delta": None}, {"index": 1, "delta": {"content": "Not."}}]},
                5,
                {"choices": [{"delta": {"content": None}}]},
                {"choices": [{"delta": {"content": ["Not."]}}]},
                {"choices": [{"delta": {"content": "Fine."}, "finish_reason": "stop"}]},
            ),
            id="anything left out",
        ),
        pytest.param(breaks_after("Fine.", finish="stop"), id="breaks after the end"),
        pytest.param(says_slowly("<think>Hm, hm, hm.</think> Fine."), id="slow but whole"),
        pytest.param(says("<think>The player wants `[1]`.</think>Fine.", usage=None), id="thinking aloud"),
    ],
)
def test_an_odd_but_whole_answer_is_taken(
    server: OpenAIServer, ask: Callable[..., Prompt], behaviour: Behaviour
) -> None:
    server.will(behaviour)
    draft = complete(ask())
    assert (draft.text, draft.changes, draft.usage) == ("Fine.", [], None)


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        pytest.param(status(500), "llm_failed", id="500"),
        pytest.param(status(502), "llm_failed", id="502"),
        pytest.param(status(408), "llm_failed", id="408"),
        pytest.param(status(429), "llm_busy", id="429 without a time"),
        pytest.param(status(503), "llm_busy", id="503 without a time"),
        pytest.param(status(429, Retry_After="soon"), "llm_busy", id="429 with a time nobody can read"),
        pytest.param(status(429, Retry_After="nan"), "llm_busy", id="429 after no number"),
        pytest.param(streams({"error": {"message": "overloaded", "code": 503}}), "llm_busy", id="503 in the stream"),
        pytest.param(streams({"error": {"message": "oops"}}), "llm_failed", id="error in the stream"),
        pytest.param(breaks_after("The door"), "cut_off", id="broken in the middle"),
        pytest.param(says("The door", finish=None), "cut_off", id="no finish reason"),
        pytest.param(says("The door", finish="length"), "cut_off", id="out of tokens"),
        pytest.param(breaks_after(""), "cut_off", id="broken after a space"),
        pytest.param(says("", finish="stop"), "empty_answer", id="a space"),
        pytest.param(streams(), "empty_answer", id="no chunk at all"),
        pytest.param(streams(chunk({}, "length")), "empty_answer", id="out of tokens before the first"),
        pytest.param(says('```json\n[{"path": "a"}]\n```'), "empty_answer", id="changes only"),
        pytest.param(streams(b"data: {nonsense\n\n"), "empty_answer", id="no JSON"),
        pytest.param(streams(b"data: \xff\xfe\n\n"), "empty_answer", id="no UTF-8"),
        pytest.param(answers(b"<html>Welcome</html>", Content_Type="text/html"), "empty_answer", id="a web page"),
        pytest.param(answers(b'{"error": "no"}'), "empty_answer", id="200 with an error"),
        pytest.param(answers(b"\x1f\x8b", Content_Encoding="gzip"), "empty_answer", id="compressed"),
        pytest.param(says("word " * 5000), "too_long", id="huge"),
    ],
)
def test_a_failure_that_may_pass_is_tried_again(
    server: OpenAIServer, ask: Callable[..., Prompt], behaviour: Behaviour, code: str
) -> None:
    server.will(behaviour)
    error = failure(ask())
    assert isinstance(error, GenerationError)
    assert error.code == code
    assert len(server.requests) == 1, "retries are the queue's"


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        pytest.param(status(400), "llm_bad_request", id="400"),
        pytest.param(status(413), "llm_bad_request", id="413"),
        pytest.param(status(422), "llm_bad_request", id="422"),
        pytest.param(status(401), "llm_unauthorized", id="401"),
        pytest.param(status(403), "llm_forbidden", id="403"),
        pytest.param(status(404), "llm_not_found", id="404"),
        pytest.param(status(307, Location="http://127.0.0.1:1/"), "llm_bad_request", id="redirect"),
        pytest.param(status(400, error_code="content_filter"), "refused", id="400 by a filter"),
        pytest.param(streams({"error": {"message": "no", "code": 401}}), "llm_unauthorized", id="401 in the stream"),
        pytest.param(says("I", finish="content_filter"), "refused", id="content filter"),
        pytest.param(streams(chunk({"refusal": "I'd rather not."}), chunk({}, "stop")), "refused", id="refusal"),
    ],
)
def test_a_failure_that_will_not_pass_is_final(
    server: OpenAIServer, ask: Callable[..., Prompt], behaviour: Behaviour, code: str
) -> None:
    server.will(behaviour)
    error = failure(ask())
    assert isinstance(error, PermanentError)
    assert error.code == code
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("given", "low", "high"),
    [("7", 7, 7), ("0", 0, 0), ("-3", 0, 0), ("86400", 300, 300), ("in a minute, as a date", 30, 61)],
)
@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_honoured_up_to_our_own_longest_backoff(
    server: OpenAIServer, ask: Callable[..., Prompt], code: int, given: str, low: float, high: float
) -> None:
    after = formatdate(time.time() + 60) if given.endswith("date") else given
    server.will(status(code, Retry_After=after))
    error = failure(ask())
    assert isinstance(error, RetryLater)
    assert error.code == "llm_busy"
    assert low <= error.seconds <= high


def test_the_servers_words_are_for_staff_short_and_without_our_key(
    server: OpenAIServer, ask: Callable[..., Prompt]
) -> None:
    server.will(status(401, "bad key sk-secret \x00" + "x" * 5000))
    error = failure(ask())
    assert error.detail == "The model's server does not know us."
    words = "".join(traceback.format_exception(error))
    assert "bad key [key]" in words
    assert "sk-secret" not in words
    assert "\x00" not in words
    assert words.count("x") < 400


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(silent, id="silent"),
        pytest.param(never_ends(), id="keep-alives for ever"),
        pytest.param(never_ends(first="The door"), id="stuck in the middle"),
        pytest.param(never_ends(b"x", pause_seconds=0.01), id="dripping"),
    ],
)
def test_an_answer_that_never_ends_is_given_up_in_time(
    server: OpenAIServer, ask: Callable[..., Prompt], config: Callable[..., None], behaviour: Behaviour
) -> None:
    config(llm_timeout_seconds=0.3)
    server.will(behaviour)
    started = time.monotonic()
    error = failure(ask())
    assert error.code == "llm_timeout"
    assert time.monotonic() - started < 15, "else it is never"


def test_an_end_that_the_server_does_not_close_is_an_end(
    server: OpenAIServer, ask: Callable[..., Prompt], config: Callable[..., None]
) -> None:
    end = json.dumps(chunk({"content": ""}, "stop")).encode()
    server.will(says("The first takes as long as the imports."), never_ends(b"data: " + end + b"\n\n", first="Fine."))
    complete(ask())
    config(llm_timeout_seconds=1)
    assert complete(ask()).text == "Fine."


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(never_ends(b"x" * 1_000_000, pause_seconds=0), id="a line without end"),
        pytest.param(never_ends(b": " + b"x" * 1_000_000 + b"\n", pause_seconds=0), id="comments without end"),
        pytest.param(error_without_end, id="an error of 200 MB"),
        pytest.param(says_much, id="an answer of 50 MB"),
    ],
)
def test_no_body_fills_the_memory(server: OpenAIServer, ask: Callable[..., Prompt], behaviour: Behaviour) -> None:
    server.will(says("Fine."), behaviour)
    complete(ask())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert failure(ask()).code == "too_long"
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 64


def test_a_server_that_is_not_there_is_tried_again(ask: Callable[..., Prompt], config: Callable[..., None]) -> None:
    config(llm_base_url="http://127.0.0.1:1/v1", llm_api_key="sk-secret")
    error = failure(ask())
    assert isinstance(error, GenerationError)
    assert error.code == "llm_unreachable"


def test_what_the_model_proposes_is_checked_before_anyone_sees_it(
    server: OpenAIServer, ask: Callable[..., Prompt]
) -> None:
    proposed = [
        {"path": "party.gold", "op": "add", "value": 5, "was": 999},
        {"path": "party.gold", "op": "add", "value": "a lot"},
        {"path": "../etc", "op": "set", "value": 1},
    ]
    server.will(says(f"Gold!\n```json\n{json.dumps(proposed)}\n```"))
    draft = complete(ask())
    assert [(made.path, made.value, made.was) for made in draft.changes] == [("party.gold", 5, 12)]
    assert len(draft.notes) == 2


def test_control_characters_of_the_model_go_no_further(server: OpenAIServer, ask: Callable[..., Prompt]) -> None:
    server.will(streams(chunk({"content": "Fine\x00\x1b\ud800."}, model="ti\x00ny"), chunk({}, "sto\x00p", model=None)))
    draft = complete(ask())
    assert (draft.text, draft.model, draft.finish) == ("Fine.", "tiny", "stop")
    server.will(says("One\r\ntwo\rthree"))
    assert complete(ask()).text == "One\ntwo\nthree"


def test_a_draft_that_a_job_cannot_hold_is_too_long(
    server: OpenAIServer, ask: Callable[..., Prompt], config: Callable[..., None]
) -> None:
    config(payload_bytes=1024)
    server.will(says("ß" * 500))
    assert failure(ask()).code == "too_long"


def test_one_loop_uses_one_client_and_its_connection_again(server: OpenAIServer, ask: Callable[..., Prompt]) -> None:
    server.will(says("Fine."))

    async def thrice() -> None:
        for key in "abc":
            await OpenAICompatible().complete(ask(), idempotency_key=key)

    asyncio.run(thrice())
    assert len({request.connection for request in server.requests}) == 1


def test_the_connections_of_a_loop_are_closed_with_it(server: OpenAIServer, ask: Callable[..., Prompt]) -> None:
    from generation.providers import openai_clients

    server.will(says("Fine."))
    complete(ask())
    assert openai_clients._lent == {}


def test_an_answer_nobody_waits_for_any_more_is_broken_off(server: OpenAIServer, ask: Callable[..., Prompt]) -> None:
    server.will(never_ends(first="The door"))

    async def cancelled() -> Any:
        begun = asyncio.Event()
        asking = asyncio.create_task(
            OpenAICompatible().complete(ask(), idempotency_key="k", on_text=lambda _: begun.set())
        )
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return await asyncio.to_thread(server.hung_up.wait, 5)

    assert asyncio.run(cancelled())


CALLED = [
    chunk({"content": "The cellar door swings open."}),
    chunk({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "propose_changes", "arguments": '{"chan'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'ges": [{"path": "doors.cellar", "op": "set",'}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": ' "value": "open"}]}'}}]}),
    chunk({"tool_calls": [{"index": 1, "function": {"arguments": "[]"}}]}, "tool_calls"),
]


def test_changes_may_come_as_a_tools_call(
    server: OpenAIServer, ask: Callable[..., Prompt], config: Callable[..., None]
) -> None:
    config(llm_tools=True)
    server.will(streams(*CALLED))
    draft = complete(ask())
    assert (draft.text, draft.notes) == ("The cellar door swings open.", [])
    assert [(made.path, made.value, made.was) for made in draft.changes] == [("doors.cellar", "open", "closed")]
    body = server.requests[0].body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["propose_changes"]
    assert "```json" not in body["messages"][0]["content"]


def test_a_tools_call_that_is_garbage_is_left_out_with_a_note(server: OpenAIServer, ask: Callable[..., Prompt]) -> None:
    garbage = {"tool_calls": [{"index": 0, "function": {"arguments": '{"changes": ['}}]}
    server.will(streams(CALLED[0], chunk(garbage, "tool_calls")))
    draft = complete(ask())
    assert (draft.changes, draft.notes) == ([], ["The proposed changes are not a list, and were left out."])


def test_a_server_without_tools_is_asked_again_without_and_remembered(
    server: OpenAIServer, ask: Callable[..., Prompt], config: Callable[..., None]
) -> None:
    config(llm_tools=True)
    server.will(status(400, "this model does not support tools"), says(TOLD))
    assert complete(ask()).changes
    assert complete(ask()).changes
    assert ["tools" in request.body for request in server.requests] == [True, False, False]


ONLY_CALLED = [
    chunk({"role": "assistant", "content": None}),
    chunk({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "propose_changes", "arguments": "{}"}}]}),
    chunk({}, "tool_calls"),
]


def test_a_model_that_only_calls_the_tool_is_asked_once_more_without_and_remembered(
    server: OpenAIServer, ask: Callable[..., Prompt], config: Callable[..., None]
) -> None:
    config(llm_tools=True)
    server.will(streams(*ONLY_CALLED), says(TOLD))
    heard: list[str] = []
    draft = complete(ask(), heard.append)
    assert (draft.text, len(draft.changes)) == ("The cellar door swings open.", 1)
    assert "".join(heard).startswith("The cellar door")
    complete(ask())
    assert ["tools" in request.body for request in server.requests] == [True, False, False]
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert keys == ["job:1:complete", "job:1:complete:told", "job:1:complete"]


def test_both_answers_together_are_held_to_the_bound_of_one(
    server: OpenAIServer, ask: Callable[..., Prompt], config: Callable[..., None]
) -> None:
    config(llm_tools=True, llm_characters=100)
    arguments = json.dumps({"changes": [], "why": "x" * 60})
    long = chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}, "tool_calls")
    server.will(streams(long), says("A door. " * 10))
    assert failure(ask()).code == "too_long"


def test_a_call_that_was_cut_off_is_no_answer(
    server: OpenAIServer, ask: Callable[..., Prompt], config: Callable[..., None]
) -> None:
    config(llm_tools=True)
    server.will(streams(*ONLY_CALLED[:-1], chunk({}, "length")))
    assert failure(ask()).code == "cut_off"


def test_silence_in_the_middle_of_an_answer_ends_it(
    server: OpenAIServer, ask: Callable[..., Prompt], config: Callable[..., None]
) -> None:
    config(llm_idle_seconds=0.2, llm_timeout_seconds=60)
    server.will(never_ends(first="The door"))
    began = time.monotonic()
    assert failure(ask()).code == "llm_timeout"
    assert time.monotonic() - began < 30
    assert server.hung_up.wait(10)


def test_changes_against_the_schema_are_left_out_with_a_note(server: OpenAIServer, ask: Callable[..., Prompt]) -> None:
    server.will(says(TOLD))
    doors = {"type": "object", "properties": {"cellar": {"enum": ["closed", "locked"]}}}
    draft = complete(ask(state_schema={"properties": {"doors": doors}}))
    assert draft.changes == []
    assert "doors.cellar" in draft.notes[0]
