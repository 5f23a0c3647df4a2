"""The addresses of the operators' socket and of requests' and jobs' streams."""

from django.urls import path

from jobs.consumers import ops_socket
from jobs.sse import request_events
from jobs.sse_job import job_events

websocket_urlpatterns = [path("ws/ops/", ops_socket)]  # type: ignore[arg-type]  # ASGI, not a view
stream_urlpatterns = [
    path("v1/events/requests/<uuid:request_id>", request_events),  # type: ignore[arg-type]
    path("v1/events/jobs/<uuid:job_id>", job_events),  # type: ignore[arg-type]
]
