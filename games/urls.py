from django.urls import path

from games import views
from games.chronicle_pages import chronicle

urlpatterns = [
    path("", views.index, name="games"),
    path("play/<uuid:game_id>/", views.play, name="play"),
    path("play/<uuid:game_id>/chronicle/", chronicle, name="chronicle"),
    path("play/<uuid:game_id>/state/", views.state, name="play-state"),
    path("play/<uuid:game_id>/requests/<uuid:request_id>/", views.entry, name="play-entry"),
]
