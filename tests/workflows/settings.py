"""The tests' settings, for worker processes that are to know the workflows of these tests."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.workflows.apps.TestWorkflowsConfig"]
