from django.apps import AppConfig


class ConformanceConfig(AppConfig):
    """Makes the job types known to the processes that isolated jobs run in."""

    name = "tests.conformance"
    label = "conformance"

    def ready(self) -> None:
        from tests.conformance import kinds  # noqa: F401
