"""What the screen needs of a line and of a text, beyond what the library's have."""

from __future__ import annotations

from collections import deque
from typing import Any

from rich.text import Text
from textual.events import Key, Paste, Resize
from textual.widgets import Input, RichLog

KEPT_TEXTS = 2000


class Line(Input):
    """Where one types. What comes in one burst, over a slow line or pasted, keeps its order and its end."""

    def on_key(self, event: Key) -> None:
        """Enter counts where it was pressed; the library's takes effect after the letters that follow it."""
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Submitted(self, self.value))
            self.clear()

    def on_paste(self, event: Paste) -> None:
        """Several lines become one; the library takes the first and drops the others."""
        event.stop()
        event.prevent_default()
        self.replace(" ".join(event.text.split()), *self.selection)


class Story(RichLog):
    """What was told, the last of it, and wrapped anew when the window changes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(wrap=True, min_width=1, **options)
        self._told: deque[Text] = deque(maxlen=KEPT_TEXTS)
        self._wrapped_at = 0

    def add(self, text: Text) -> None:
        """Tell it at the end."""
        self._told.append(text)
        self.write(text)

    def on_resize(self, event: Resize) -> None:
        """The library wraps a text when it is written, and never again."""
        if self._wrapped_at not in (0, event.size.width):
            self.clear()
            for text in self._told:
                self.write(text)
        self._wrapped_at = event.size.width
