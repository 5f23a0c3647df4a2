"""Scenarios: what a story begins with, whom it knows, and what happens in it by itself. Files, read and checked."""

from pathlib import Path

SHIPPED = Path(__file__).parent / "shipped"
"""Those that come with the code."""
