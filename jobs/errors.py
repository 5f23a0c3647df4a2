"""Everything the queue refuses or fails with, in one tree.

QueueError                what a caller may be told: code, HTTP status, sentence
├── BadRequest       400  bad_request
├── Unauthorized     401  unauthorized
├── Forbidden        403  forbidden
├── NotFound         404  not_found
├── MethodNotAllowed 405  method_not_allowed
├── NotAcceptable    406  not_acceptable
├── Invalid          422  invalid (with the path of every mistake)
├── Conflict         409  its own code (with what stands instead)
├── Gone             410  gone
├── Refused          429  its own code (with when to ask again)
└── Unavailable      503  unavailable
HandlerError              what a handler or provider raises about its own attempt
├── PermanentError        no further attempt
│   ├── ChildFailed       a child job that ``ctx.call`` waited for ended without a result
│   ├── TimedOut          no answer came in the time that ``ctx.wait_for`` or ``ctx.receive`` gave
│   ├── StepMismatch      the code no longer matches what this job already did
│   └── HandlerMisuse     a rule of durable functions was broken by the handler
├── RetryLater            another attempt after a given time
└── Snooze                not now: the same attempt after a given time
"""

from __future__ import annotations

from typing import Any, ClassVar


class QueueError(Exception):
    """An answer for the caller: ``code`` for programs, ``detail`` for people, ``extra`` fields as JSON."""

    status: ClassVar[int] = 400
    default_code: ClassVar[str] = "error"

    def __init__(self, detail: str, *, code: str = "", **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.extra = extra

    def as_dict(self) -> dict[str, Any]:
        """The body of the answer, the same over HTTP and WebSocket."""
        return {"code": self.code, "detail": self.detail, **self.extra}


class BadRequest(QueueError):
    """The request itself is wrong, such as one for a host that we are not."""

    default_code = "bad_request"


class Unauthorized(QueueError):
    """No token, session or pass, or none that is good."""

    status = 401
    default_code = "unauthorized"


class Forbidden(QueueError):
    """The caller sees the thing but may not do this to it."""

    status = 403
    default_code = "forbidden"


class NotFound(QueueError):
    """No such thing, or none that this caller may know of."""

    status = 404
    default_code = "not_found"


class MethodNotAllowed(QueueError):
    """What is there to be read only, such as a stream."""

    status = 405
    default_code = "method_not_allowed"


class NotAcceptable(QueueError):
    """The client takes none of what we could answer with."""

    status = 406
    default_code = "not_acceptable"


class Invalid(QueueError):
    """The input is wrong; ``fields`` maps each path to its reason."""

    status = 422
    default_code = "invalid"

    def __init__(self, detail: str, *, code: str = "", fields: dict[str, str] | None = None) -> None:
        super().__init__(detail, code=code, **({"fields": fields} if fields else {}))

    def __str__(self) -> str:
        fields = self.extra.get("fields", {})
        return "; ".join([self.detail, *(f"{path}: {why}" for path, why in fields.items())])


class Conflict(QueueError):
    """Somebody or something got there first; ``extra`` says what stands now."""

    status = 409
    default_code = "conflict"


class Gone(QueueError):
    """It was there, and its time is over."""

    status = 410
    default_code = "gone"


class Refused(QueueError):
    """A limit is reached, named in ``limit``; ``retry_after`` is in seconds."""

    status = 429
    default_code = "refused"

    def __init__(self, detail: str, *, retry_after: float, code: str = "", limit: str = "") -> None:
        super().__init__(detail, code=code, retry_after=retry_after, **({"limit": limit} if limit else {}))
        self.retry_after = retry_after


class Unavailable(QueueError):
    """A part this needs is away; asking again later may work."""

    status = 503
    default_code = "unavailable"


class HandlerError(Exception):
    """A failed attempt, with the code and sentence that the request will show."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class PermanentError(HandlerError):
    """Trying again would not help: the job is dead at once."""


class ChildFailed(PermanentError):
    """A child job ended dead, cancelled or expired; it carries the child's own code and detail."""


class TimedOut(PermanentError):
    """Nobody answered in time. It is as final as an answer: every replay and attempt is told the same."""


class StepMismatch(PermanentError):
    """The handler asks for other steps than this job did before: it changed under a running job, or takes another
    way each time it runs. The message tells what is recorded and what was asked for."""

    def __init__(self, detail: str) -> None:
        super().__init__("step_mismatch", detail)


class RetryLater(HandlerError):
    """Another attempt after ``seconds`` (as a provider's ``Retry-After`` asks)."""

    def __init__(self, seconds: float, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.seconds = seconds


class Snooze(HandlerError):
    """Not yet: run again after ``seconds``, as the same attempt."""

    def __init__(self, seconds: float, detail: str = "the handler asked to run later") -> None:
        super().__init__("snoozed", detail)
        self.seconds = seconds


class HandlerMisuse(PermanentError):
    """The handler broke a rule of durable functions; the message names the rule and the step."""

    CODE: ClassVar[str] = "handler_misuse"

    def __init__(self, detail: str) -> None:
        super().__init__(self.CODE, detail)
