"""The whole screen: the story, what is being written, how requests stand, the state, and a line to type in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Footer, Input, Static

from console.asked import Asked, place
from console.errors import ConsoleError
from console.notices import Notice, shown
from console.session import NO_ACTION, Session
from console.widgets import Line, Story

STYLES = {"story": "", "event": "italic magenta", "state": "green", "error": "bold red", "status": "dim"}


class ConsoleApp(App[int]):
    """Enter says, /act acts, Ctrl+R asks again what failed. It is the session's view; ``session`` is set first."""

    CSS = """
    #connection { width: 1fr; height: 1; background: $panel; padding: 0 1; }
    #main { width: 3fr; }
    #story { height: 1fr; padding: 0 1; }
    #aside { width: 1fr; min-width: 24; border-left: solid $panel; padding: 0 1; }
    #written { height: auto; max-height: 40%; padding: 0 1; color: $text-muted; }
    #requests { height: auto; max-height: 30%; padding: 0 1; color: $accent; }
    .-narrow #aside { display: none; }
    .-low Footer { display: none; }
    .-low #line { border: none; height: 1; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (14, "-high")]
    BINDINGS = [Binding("ctrl+r", "again", "Ask again what failed"), Binding("ctrl+q", "quit", "Quit")]
    TITLE = "queueproject"
    ENABLE_COMMAND_PALETTE = False

    session: Session

    def compose(self) -> ComposeResult:
        yield Static("connecting…", id="connection", markup=False)
        with Horizontal():
            with Vertical(id="main"):
                yield Story(id="story")
                yield Static("", id="written", markup=False)
                yield Static("", id="requests", markup=False)
            with VerticalScroll(id="aside"):
                yield Static("", id="state", markup=False)
        yield Line(placeholder="Say something, or /act what you do", id="line")
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#line", Line).focus()
        self._playing = asyncio.create_task(self._run())

    async def on_unmount(self) -> None:
        """Leave no connection open."""
        self._playing.cancel()
        await asyncio.wait([self._playing])

    async def _run(self) -> None:
        try:
            await self.session.run()
        except ConsoleError as error:
            self.tell(Notice(kind="error", text=str(error)))
            self._put("#connection", f"the end: {error}")
        except Exception as error:  # A screen that looks alive and hears nothing would be worse.
            self.exit(1, message=shown(f"{type(error).__name__}: {error}"))

    def on_input_submitted(self, entered: Input.Submitted) -> None:
        """What was typed is on its way; the line is already free for more."""
        text = entered.value.strip()
        if text == "/quit":
            self.exit(0)
        elif text == "/retry":
            self.action_again()
        elif text == "/act":
            self.tell(Notice(kind="error", text=NO_ACTION))
        elif text.startswith("/act "):
            self.run_worker(self.session.ask("act", text.removeprefix("/act ").strip()))
        elif text:
            self.run_worker(self.session.ask("chat", text))

    def action_again(self) -> None:
        self.run_worker(self.session.retry())

    # -- as a view -----------------------------------------------------------------------------------------------

    def tell(self, notice: Notice) -> None:
        """Show it where it belongs."""
        match notice.kind:
            case "connection":
                self._put("#connection", f"{self.session.name}  {'●' if notice.live else '○'} {notice.text}")
            case "chunk":
                self._put("#written", notice.whole)
            case _:
                self._write(notice)
        self._put("#requests", "\n".join(map(_line, self.session.waiting)))
        self._put("#state", _state(self.session.state))

    def _put(self, part: str, text: str) -> None:
        self.query_one(part, Static).update(shown(text))

    def _write(self, notice: Notice) -> None:
        if notice.kind == "story":
            self._put("#written", "")
        story = self.query_one("#story", Story)
        story.add(_styled(notice))
        if notice.kind == "story":
            story.add(Text())


def _styled(notice: Notice) -> Text:
    return Text(shown(notice.text), style=STYLES.get(notice.kind, ""))


def _line(asked: Asked) -> str:
    match asked.status:
        case "queued":
            where = place(asked)
        case "awaiting_approval":
            where = "a DM is deciding…"
        case status:
            where = f"{status}…"
    return f"{where}  {asked.text}"


def _state(state: dict[str, Any], above: str = "") -> str:
    """A line for each value, with its dotted path."""
    lines = (
        _state(value, f"{above}{key}.") if isinstance(value, dict) else f"{above}{key}: {_value(value)}"
        for key, value in state.items()
    )
    return "\n".join(lines)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
