from django.apps import AppConfig


class ChaosConfig(AppConfig):
    """Makes the job types of the chaos run known to its processes. No other process loads them."""

    name = "chaos"

    def ready(self) -> None:
        from chaos import jobtypes

        assert jobtypes.TALE.queue == "player_actions"
