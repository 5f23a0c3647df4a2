"""Every error of the HTTP API as JSON: a ``code`` for programs, a ``detail`` for people."""

import math
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError, ProgrammingError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from jobs.errors import QueueError, Refused
from jobs.schema import explained, is_unmigrated
from queueproject.parsing import UnusableText

logger = structlog.get_logger(__name__)

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    500: "internal",
}


def register(api: NinjaAPI) -> None:
    """Hand these handlers to the API."""
    handlers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
        QueueError: _refused,
        ValidationError: _invalid,
        HttpError: _http_error,
        PermissionDenied: _forbidden,
        Http404: _not_found,
        RequestDataTooBig: _too_large,
        SuspiciousOperation: _suspicious,
        OperationalError: _unavailable,
        InterfaceError: _unavailable,
        ProgrammingError: _unavailable_or_internal,
        Exception: _internal,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def json_errors(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: what Django itself answers below /v1/ (no such path, wrong method, bad host) is JSON too."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not request.path_info.startswith("/v1/") or response.status_code < 400 or _is_json(response):
            return response
        answer = _error(response.status_code, response.reason_phrase)
        if "Allow" in response:
            answer["Allow"] = response["Allow"]
        return answer

    return middleware


def _is_json(response: HttpResponseBase) -> bool:
    return response.get("Content-Type", "").startswith("application/json")


def _error(status: int, detail: str, *, code: str = "", **extra: Any) -> HttpResponse:
    body = {"code": code or CODES.get(status, "error"), "detail": detail, **extra}
    return JsonResponse(body, status=status)


def _refused(request: HttpRequest, exc: QueueError) -> HttpResponse:
    response = JsonResponse(exc.as_dict(), status=exc.status)
    if isinstance(exc, Refused):
        response["Retry-After"] = math.ceil(exc.retry_after)
    return response


def _invalid(request: HttpRequest, exc: ValidationError) -> HttpResponse:
    return _mistakes({_path(item["loc"]): str(item["msg"]).removeprefix("Value error, ") for item in exc.errors})


def _http_error(request: HttpRequest, exc: HttpError) -> HttpResponse:
    """Also what the parser refused: ninja raises its errors as this, with the parser's own as the cause."""
    cause = exc.__cause__
    if isinstance(cause, UnusableText):
        return _mistakes({cause.path or "body": cause.why})
    if cause is not None:
        return _error(400, f"the body is not JSON: {cause}", code="malformed_json")
    response = _error(exc.status_code, str(exc))
    if exc.status_code == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def _forbidden(request: HttpRequest, exc: PermissionDenied) -> HttpResponse:
    return _error(403, str(exc) or "you may not do this")


def _not_found(request: HttpRequest, exc: Http404) -> HttpResponse:
    return _error(404, "there is nothing here")


def _too_large(request: HttpRequest, exc: RequestDataTooBig) -> HttpResponse:
    return _error(413, str(exc), code="too_large")


def _suspicious(request: HttpRequest, exc: SuspiciousOperation) -> HttpResponse:
    return _error(400, str(exc))


def _unavailable(request: HttpRequest, exc: Exception) -> HttpResponse:
    logger.error("database_unavailable", path=request.path, exc_info=exc)
    response = _error(503, explained(exc), code="unavailable")
    response["Retry-After"] = math.ceil(settings.CONFIG.database_timeout_seconds)
    return response


def _unavailable_or_internal(request: HttpRequest, exc: Exception) -> HttpResponse:
    return _unavailable(request, exc) if is_unmigrated(exc) else _internal(request, exc)


def _internal(request: HttpRequest, exc: Exception) -> HttpResponse:
    logger.error("internal_error", path=request.path, exc_info=exc)
    return _error(500, "something went wrong on our side; it was logged")


def _mistakes(fields: dict[str, str]) -> HttpResponse:
    detail = "; ".join(f"{path}: {reason}" for path, reason in fields.items())
    return _error(422, detail, code="invalid", fields=fields)


def _path(loc: tuple[Any, ...]) -> str:
    """Where in the input, as its sender sees it: without ninja's names for the source and for the body."""
    source, *rest = map(str, loc)
    return ".".join(rest[1:] if source == "body" else rest) or source
