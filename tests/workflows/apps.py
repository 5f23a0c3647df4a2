from django.apps import AppConfig


class TestWorkflowsConfig(AppConfig):
    """Makes the workflows of the tests known to real worker processes."""

    name = "tests.workflows"
    label = "test_workflows"

    def ready(self) -> None:
        from tests.workflows import kinds

        assert kinds.FIVE.workflow is not None
