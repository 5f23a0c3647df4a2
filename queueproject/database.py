"""Where the record is kept: SQLite with our own backend, or PostgreSQL through a pool."""

from pathlib import Path
from typing import Any

import dj_database_url

from queueproject.env import Config


def database(config: Config, base_dir: Path) -> dict[str, Any]:
    """Django's settings for the database that `database_url` names."""
    parsed: dict[str, Any] = dict(dj_database_url.parse(config.database_url))
    if "sqlite" in parsed["ENGINE"]:
        return _sqlite(config, base_dir / parsed["NAME"])
    return _postgresql(config, parsed)


def _sqlite(config: Config, path: Path) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return {
        "ENGINE": "queueproject.sqlite",
        "NAME": str(path),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": config.database_timeout_seconds,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        },
        # Tests use threads and processes, which can't share a database in memory.
        "TEST": {"NAME": f"{path}.test"},
    }


def _postgresql(config: Config, parsed: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {**parsed.get("OPTIONS", {})}
    if config.database_idle_seconds:
        limit = f"-c idle_in_transaction_session_timeout={config.database_idle_seconds * 1000:.0f}"
        options["options"] = f"{options.get('options', '')} {limit}".strip()
    pool = {"min_size": 0, "max_size": config.database_pool_size, "timeout": config.database_timeout_seconds}
    return {
        **parsed,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**options, "pool": pool},
    }
