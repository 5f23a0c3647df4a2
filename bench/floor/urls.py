"""What a tutorial would write: a view that enqueues, and knows neither users nor games."""

import json

import django_rq
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from bench.floor.tasks import play


@csrf_exempt
@require_POST
def act(request: HttpRequest) -> JsonResponse:
    job = django_rq.get_queue().enqueue(play, json.loads(request.body)["text"])
    return JsonResponse({"request_id": job.id, "status": "queued"})


urlpatterns = [path("actions", act)]
