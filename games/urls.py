from django.urls import path

from games import views

urlpatterns = [
    path("", views.index, name="games"),
    path("play/<uuid:game_id>/", views.play, name="play"),
    path("play/<uuid:game_id>/state/", views.state, name="play-state"),
    path("play/<uuid:game_id>/requests/<uuid:request_id>/", views.entry, name="play-entry"),
]
