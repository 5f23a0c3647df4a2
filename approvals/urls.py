from django.urls import path

from approvals import views

urlpatterns = [
    path("decisions/", views.queue, name="decisions"),
    path("decisions/pending/", views.pending, name="decisions-pending"),
    path("decisions/history/", views.history, name="decisions-history"),
    path("decisions/<uuid:approval_id>/", views.card, name="decision"),
]
