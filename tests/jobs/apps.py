from django.apps import AppConfig


class TestJobsConfig(AppConfig):
    """Makes the test job types known to real worker processes."""

    name = "tests.jobs"
    label = "test_jobs"

    def ready(self) -> None:
        from tests.jobs import durable, kinds

        assert kinds.ECHO.queue == durable.NAP.queue == "system"
