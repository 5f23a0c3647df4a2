"""What a terminal is shown of what others wrote, and what is made of odd lines; without a real server."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from textual.widgets import RichLog, Static

from console.api import Api
from console.notices import Notice, shown
from console.plain import Lines
from console.screen import ConsoleApp
from console.session import Session
from tests.console import far
from tests.console.far import FarServer
from tests.waiting import await_until


@pytest.fixture
def server() -> Iterator[FarServer]:
    with far.running() as server:
        yield server


def test_control_characters_are_shown_and_never_sent_to_a_terminal() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    Lines(out).tell(Notice(kind="chunk", text="a\x1b[2Jb\x9b1m\x07\rc\td\r\ne\ud800 \x85f"))
    out.seek(0)
    assert out.read() == "chunk: a\ufffd[2Jb\ufffd1m\ufffd\ufffdc\td\nchunk: e\ufffd \ufffdf\n"
    assert shown("a\u202edoor\u2066s") == "a\ufffddoor\ufffds"
    assert shown("Zoë says: 你好 👋\n\tplainly") == "Zoë says: 你好 👋\n\tplainly"


async def test_the_screen_shows_them_too_and_an_action_without_words_is_asked_for(server: FarServer) -> None:
    server.stream = far.streams()
    server.state = {"mo\x1bod": "da\x9brk"}
    server.tell("The \x1b[2Jdoor.")
    api, app = Api(server.url, "qp_t", "g"), ConsoleApp()
    app.session = Session(api, app)
    async with app.run_test(size=(120, 40)) as pilot:

        async def told() -> str:
            return "\n".join(line.text for line in app.query_one("#story", RichLog).lines)

        async def tells(text: str) -> None:
            async def found() -> bool:
                return text in await told()

            await await_until(found, timeout=20, what=text)

        await tells("The \ufffd[2Jdoor.")
        assert str(app.query_one("#state", Static).content) == "mo\ufffdod: da\ufffdrk"
        await pilot.press(*"/act", "enter")
        await tells("/act what?")
        assert "\x1b" not in await told()
        assert not app.session.asked
    await api.close()


@pytest.mark.parametrize("strictness", ["strict", "surrogateescape"])
def test_bytes_that_are_no_text_are_said_as_signs_and_end_nothing(server: FarServer, strictness: str) -> None:
    server.stream = far.streams()
    command = [sys.executable, "-m", "console", "--plain", "--server", server.url, "--token", "t", "--game", "g"]
    env = os.environ | {"PYTHONIOENCODING": f"utf-8:{strictness}"}
    ended = subprocess.run(command, input=b"Hello \xff\n", env=env, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads(server.posted[0])["message"] == "Hello \ufffd"
