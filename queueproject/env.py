"""Every setting that comes from the environment: its type, default and meaning, once.

A setting's environment name is its field's name in upper case. Durations are seconds and may be fractions.
"""

import os
from collections.abc import Iterator
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEMO_SECRET = "demo-secret-for-development-only-never-for-the-public"
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
Names = Annotated[tuple[str, ...], NoDecode]


class Config(BaseSettings):
    """The process's settings, read from the environment when it starts and never changed afterwards."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, validate_default=True)

    debug: bool = Field(
        False,
        description="Development: cookies over plain HTTP, readable logs, assets from the source. Never in public.",
    )
    demo: bool = Field(False, description="Allow the demo's games and its users with known passwords. Needs DEBUG.")
    secret_key: str = Field(
        DEMO_SECRET,
        min_length=32,
        repr=False,
        description="Signs sessions and CSRF tokens: 32 secret characters or more, alike in every process.",
    )
    allowed_hosts: Names = Field(
        ("localhost", "127.0.0.1", "[::1]"),
        min_length=1,
        description="Host names the site answers to, separated by commas.",
    )
    trusted_origins: Names = Field(
        (),
        description="Origins (scheme://host[:port]) of our own pages as browsers see them, separated by "
        "commas; needed when a proxy ends TLS.",
    )
    port: int = Field(8000, ge=1, le=65535, description="Port of the web process started by `make run`.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least severe log lines that are written."
    )

    database_url: str = Field(
        "sqlite:///var/db.sqlite3",
        repr=False,
        description="The record. sqlite:///path (relative to the project) or postgresql://user:password@host/name.",
    )
    database_pool_size: Count = Field(8, description="Most PostgreSQL connections that one process holds open.")
    database_timeout_seconds: Seconds = Field(
        5, description="How long to wait for a pooled PostgreSQL connection, or for SQLite's write lock."
    )
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        repr=False,
        description="Redis carries tickets and wake-ups: redis://, rediss:// or unix://.",
    )
    redis_timeout_seconds: Seconds = Field(1, description="How long to wait for Redis before going on without it.")

    worker_concurrency: Count = Field(100, description="Jobs that one worker process runs at a time.")
    lease_seconds: Seconds = Field(15, description="A worker not heard of for so long has lost its jobs to the others.")
    heartbeat_seconds: Seconds = Field(
        5, description="How often a worker renews its lease. Shorter than LEASE_SECONDS."
    )
    poll_seconds: Seconds = Field(
        1, description="Longest time a worker waits before it asks the database itself for work."
    )
    tick_seconds: Seconds = Field(1, description="How often the scheduler looks for what is due.")
    shutdown_seconds: Seconds = Field(
        30, description="How long a stopping worker lets its jobs go on before it hands them back."
    )
    ticket_window: Count = Field(256, description="Fewest tickets that dispatch keeps in each Redis queue.")
    max_attempts: Count = Field(3, description="How often a job is tried, unless its type says otherwise.")
    poison_strikes: Count = Field(3, description="How often a job may kill the process it runs in.")
    suspect_lease_losses: Count = Field(
        2, description="After so many lost leases a job runs in a process of its own, to see whose fault it is."
    )
    isolated_memory_mb: Count = Field(1024, description="Address space of a job that runs in a process of its own.")
    bulk_jobs: Count = Field(10000, description="Most jobs that one enqueue_many takes.")
    backoff_seconds: Seconds = Field(1, description="Wait before the second attempt; it doubles each time.")
    backoff_cap_seconds: Seconds = Field(300, description="Longest wait between two attempts.")
    job_timeout_seconds: Seconds = Field(
        300, description="Longest run of one attempt, unless the job's type says otherwise."
    )
    payload_bytes: Count = Field(65536, description="Largest payload of a job, as JSON.")
    idempotency_seconds: Seconds = Field(86400, description="How long an idempotency key is remembered.")

    decision_seconds: Seconds = Field(600, description="Time to decide before the default outcome is taken.")
    decision_drafts: Count = Field(5, description="Most drafts of one decision that people can ask for.")
    decision_versions: Count = Field(
        10, description="Most versions of one decision, with those made because the state changed."
    )
    claim_seconds: Seconds = Field(120, description="How long a claim on a decision keeps others out.")

    follow_seconds: Seconds = Field(1, description="How often a web process asks for new events when no wake-up comes.")
    stream_threads: Count = Field(4, description="Threads that read events for sockets, in each web process.")
    presence_write_seconds: Seconds = Field(20, description="How often an open socket writes that it is there.")
    presence_seconds: Seconds = Field(60, description="A member not seen for so long counts as away.")
    socket_unseen_limit: Count = Field(
        200, description="Events a socket may leave unacknowledged before it gets only the newest number."
    )
    socket_unseen_seconds: Seconds = Field(60, description="A socket that far behind is closed after this.")
    socket_recheck_seconds: Seconds = Field(
        3, description="How often an open socket's session or token is checked again."
    )
    token_seen_seconds: Seconds = Field(60, description="A token's last use is written at most this often.")
    action_characters: Count = Field(4000, description="Longest text of an action.")

    llm_provider: Literal["scripted", "openai_compatible"] = Field(
        "scripted",
        description="Who writes the drafts: the offline storyteller, or a model behind LLM_BASE_URL.",
    )
    llm_base_url: str = Field(
        "https://api.openai.com/v1", description="Address of an OpenAI-compatible API, with its version path."
    )
    llm_model: str = Field("gpt-4o-mini", description="The model's name at that API.")
    llm_api_key: str = Field("", repr=False, description="The key for that API.")
    llm_timeout_seconds: Seconds = Field(60, description="Longest time for one answer of the model.")
    llm_characters: Count = Field(20000, description="Longest answer that is read from the model.")
    scripted_seconds: float = Field(2, ge=0, le=3600, description="Time the scripted storyteller takes for one answer.")
    scripted_seed: int = Field(1, description="The same seed tells the same story.")
    scripted_faults: str = Field(
        "",
        description="The scripted storyteller's faults, as fault:rate or fault@keyword, separated by commas.",
    )

    @field_validator("allowed_hosts", "trusted_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("trusted_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
                raise _refused(f"{origin!r} is not an origin: allowed is scheme://host[:port], without a path")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, value: str) -> str:
        return _with_scheme(value, "sqlite", "postgres", "postgresql")

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str) -> str:
        return _with_scheme(value, "redis", "rediss", "unix")

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if reasons := [*self._contradictions(), *self._dangers()]:
            raise _refused("\n".join(reasons))
        return self

    def _contradictions(self) -> Iterator[str]:
        if self.heartbeat_seconds >= self.lease_seconds:
            yield "HEARTBEAT_SECONDS must be shorter than LEASE_SECONDS"
        if self.presence_write_seconds >= self.presence_seconds:
            yield "PRESENCE_WRITE_SECONDS must be shorter than PRESENCE_SECONDS"

    def _dangers(self) -> Iterator[str]:
        """What is refused outside debug."""
        if self.debug:
            return
        if self.demo:
            yield "DEMO=1 is allowed only with DEBUG=1: the demo's passwords are known to all"
        if self.secret_key == DEMO_SECRET:
            yield "SECRET_KEY must be set: without DEBUG=1 the demo secret is refused"
        if "*" in self.allowed_hosts:
            yield "ALLOWED_HOSTS=* is allowed only with DEBUG=1: name the site's hosts"


def load() -> Config:
    """The settings of this process. What is wrong ends it, with one line for each wrong setting."""
    try:
        return Config()
    except ValidationError as error:
        lines = "\n".join(map(_explain, error.errors())).splitlines()
        raise SystemExit("\n".join(f"Wrong setting: {line}" for line in lines)) from None


def _explain(error: ErrorDetails) -> str:
    if not error["loc"]:
        return error["msg"]
    name = str(error["loc"][0])
    given = f"={os.environ.get(name.upper())}" if Config.model_fields[name].repr else ""
    allowed = "allowed are 1, 0, true, false" if error["type"] == "bool_parsing" else error["msg"]
    return f"{name.upper()}{given}: {allowed}"


def _refused(reason: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{reason}", {"reason": reason})


def _with_scheme(url: str, *schemes: str) -> str:
    if urlsplit(url).scheme not in schemes:
        raise _refused(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return url
