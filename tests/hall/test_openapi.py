"""What the API says of itself holds, whoever asks and whatever is sent: no 500, no answer that is not described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from games import operations
from queueproject.api import api
from tests.cast import Cast, assemble

EXAMPLES = 4
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
STREAMS = "/v1/events/"


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return assemble()


@pytest.fixture
def schema() -> Any:
    from django.core.wsgi import get_wsgi_application

    return schemathesis.openapi.from_wsgi("/v1/openapi.json", get_wsgi_application())


def operations_of(schema: Any) -> Iterator[Any]:
    """All that can be asked, but for streams, which don't end."""
    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.startswith(STREAMS):
            yield operation


@pytest.mark.parametrize("role", ["anonymous", "player1", "dm", "admin"])
def test_every_answer_is_as_described(cast: Cast, schema: Any, role: str) -> None:
    headers = {} if role == "anonymous" else cast.bearer(getattr(cast, role))
    request = operations.act(user=cast.player1, game=cast.game, text="I wave.")
    real = {"game_id": str(cast.game.pk), "request_id": str(request.public_id)}

    def ask(operation: Any) -> None:
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), known=st.booleans())
        def try_it(case: Any, known: bool) -> None:
            if known:
                case.path_parameters.update({name: real[name] for name in case.path_parameters if name in real})
            case.call_and_validate(headers=headers, checks=CHECKS)

        try_it()

    for operation in operations_of(schema):
        ask(operation)


def test_streams_are_described(cast: Cast) -> None:
    paths = api.get_openapi_schema()["paths"]
    for path in ("/v1/events/games/{game_id}", "/v1/events/requests/{request_id}", "/v1/events/jobs/{job_id}"):
        assert "text/event-stream" in paths[path]["get"]["responses"]["200"]["content"]
