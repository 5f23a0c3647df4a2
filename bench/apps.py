from django.apps import AppConfig


class BenchConfig(AppConfig):
    """Makes the benchmark's job types known to the processes that are measured."""

    name = "bench"

    def ready(self) -> None:
        from bench import jobtypes

        assert jobtypes.STAMP.queue == "system"
