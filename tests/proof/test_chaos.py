"""A short run under fire. `make chaos` runs a long one, `make soak` one of an hour."""

from __future__ import annotations

import os
import subprocess

import pytest

from queueproject.stack.commands import PROJECT, manage

pytestmark = pytest.mark.chaos

LONGEST_SECONDS = 400


def test_nothing_is_lost_doubled_or_out_of_order_under_fire() -> None:
    database = os.environ.get("TEST_DATABASE", "sqlite")
    options = ["--seed", "1", "--jobs", "200", "--seconds", "9", "--every", "0.8", "--database", database]
    run = subprocess.run(
        manage("chaos", *options), cwd=PROJECT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "faults" in run.stdout


def test_wrong_options_are_told() -> None:
    run = subprocess.run(manage("chaos", "--jobs", "many"), cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "invalid int value" in run.stderr
