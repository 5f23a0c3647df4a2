"""What is being written, request by request, from the chunks that come of it."""

from __future__ import annotations

from console.notices import Notice
from console.shapes import Shape

MOST_REQUESTS = 100
MOST_CHARACTERS = 200_000


class Written:
    """The texts so far; the oldest are forgotten, and of an endless one its beginning."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[int, str]] = {}

    def add(self, event: Shape) -> list[Notice]:
        """What a ``chat.chunk`` tells. Another ``attempt``, or ``index`` 0, begins anew."""
        request, chunk = event.id("request_id"), event.inner("data")
        attempt, index, content = chunk.number("attempt"), chunk.number("index"), chunk.text("content")
        before, whole = self._texts.pop(request, (attempt, ""))
        anew = bool(whole) and (attempt != before or index == 0)
        whole = (content if anew else whole + content)[-MOST_CHARACTERS:]
        self._texts[request] = (attempt, whole)
        if len(self._texts) > MOST_REQUESTS:
            del self._texts[next(iter(self._texts))]
        notice = Notice(kind="chunk", text=content, request=request, whole=whole)
        return (
            [Notice(kind="status", text="the storyteller begins anew", request=request), notice] if anew else [notice]
        )

    def forget(self, request: str) -> None:
        """It stands in the story by now."""
        self._texts.pop(request, None)
