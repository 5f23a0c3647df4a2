"""What ``/v1/openapi.json`` says beside the operations themselves: errors, and the streams that Django never sees."""

from __future__ import annotations

from typing import Any

ERROR = {
    "title": "Error",
    "type": "object",
    "description": "Any answer that is no success. More fields where they help.",
    "properties": {
        "code": {"type": "string", "description": "For programs."},
        "detail": {"type": "string", "description": "For people."},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "The path of each mistake in the input, and what is wrong there.",
        },
    },
    "required": ["code", "detail"],
}
ERROR_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
ERRORS = {
    "4XX": {"description": "Refused; docs/protocol.md lists the codes.", "content": ERROR_CONTENT},
    "503": {"description": "The database can't be reached; `Retry-After`.", "content": ERROR_CONTENT},
}


def completed(schema: dict[str, Any]) -> dict[str, Any]:
    """The operations' schema with what none of them says of itself."""
    schema["paths"] |= {
        "/v1/events/games/{game_id}": _stream("game_id", "What happens in a game, from now or from a cursor on"),
        "/v1/events/requests/{request_id}": _stream("request_id", "What becomes of a request, up to its last event"),
        "/v1/events/jobs/{job_id}": _stream("job_id", "A job's log and how it stands, for operators, up to its end"),
    }
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation["responses"] |= ERRORS
    schema["components"]["schemas"]["Error"] = ERROR
    return schema


def _stream(name: str, summary: str) -> dict[str, Any]:
    id_ = {"in": "path", "name": name, "required": True, "schema": {"type": "string", "format": "uuid"}}
    cursor = {"type": "integer", "minimum": 0, "description": "The number of the last event that one has dealt with."}
    return {
        "get": {
            "operationId": f"follow_{name.removesuffix('_id')}",
            "summary": summary,
            "tags": ["events"],
            "security": [{"Caller": []}],
            "parameters": [
                id_,
                {"in": "query", "name": "last_event_id", "schema": cursor},
                {"in": "header", "name": "Last-Event-ID", "schema": cursor},
                {"in": "query", "name": "pass", "schema": {"type": "string"}},
            ],
            "responses": {
                "200": {
                    "description": "Server-sent events; see docs/protocol.md.",
                    "content": {"text/event-stream": {"schema": {"type": "string"}}},
                },
                "204": {"description": "It has ended, and the cursor is its last event."},
            },
        }
    }
