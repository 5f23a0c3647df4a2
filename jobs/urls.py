from django.urls import path

from jobs.views import metrics, queues

urlpatterns = [
    path("metrics", metrics, name="metrics"),
    path("ops/", queues, name="ops-queues"),
]
