"""Scenarios: what a story begins with, whom it knows, and what happens in it by itself. Files, read and checked."""
