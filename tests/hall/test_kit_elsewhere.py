"""The public test kit in another project, with a job type, settings and tests of its own, as docs/testing.md says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from queueproject.stack.commands import PROJECT

FILES = {
    "dice/__init__.py": "",
    "dice/apps.py": """
        from django.apps import AppConfig

        class DiceConfig(AppConfig):
            name = "dice"

            def ready(self):
                from dice import jobtypes
    """,
    "dice/jobtypes.py": """
        from pydantic import BaseModel
        from jobs.registry import JobType

        class Dice(BaseModel):
            sides: int

        ROLL_DICE = JobType(name="roll_dice", queue="system", payload=Dice, result=int, handler="dice.handlers:run")
    """,
    "dice/handlers.py": """
        def run(ctx, dice):
            return ctx.step("roll", lambda: dice.sides)
    """,
    "dice_settings.py": """
        from queueproject.settings import *
        from queueproject.settings import INSTALLED_APPS

        INSTALLED_APPS = [*INSTALLED_APPS, "dice.apps.DiceConfig"]
    """,
    "conftest.py": """
        import os

        os.environ |= {"DJANGO_SETTINGS_MODULE": "dice_settings", "DEBUG": "1"}
        pytest_plugins = ["queueproject.testing.plugin"]
    """,
    "test_dice.py": """
        import pytest
        from dice.jobtypes import ROLL_DICE, Dice
        from jobs.operations.enqueue import enqueue
        from jobs.testing import run_until_idle
        from queueproject.testing.requests import queue_depth, queue_empty, wait_for_completion

        @pytest.mark.django_db(transaction=True)
        def test_here_and_by_a_worker(worker):
            here = enqueue(ROLL_DICE, Dice(sides=6))
            assert queue_depth("system") == 1
            run_until_idle()
            assert wait_for_completion(here.public_id, 1).result == 6
            there = enqueue(ROLL_DICE, Dice(sides=20))
            worker()
            assert wait_for_completion(there.public_id, 60).result == 20
            assert queue_empty("system")
    """,
}


@pytest.mark.integration
def test_a_project_with_a_job_type_of_its_own_tests_it_here_and_by_a_worker(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("\n".join(line.removeprefix(" " * 8) for line in text.splitlines()))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))}
    own = {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "PYTHONPATH": f"{tmp_path}:{PROJECT}"}
    command = [sys.executable, "-m", "pytest", "-q", "--nomigrations", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, cwd=tmp_path, env=kept | own, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
