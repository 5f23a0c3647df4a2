from django.urls import path

from jobs.views import metrics, queues
from jobs.views_requests import request_page

urlpatterns = [
    path("requests/<uuid:request_id>/", request_page, name="request"),
    path("metrics", metrics, name="metrics"),
    path("ops/", queues, name="ops-queues"),
]
