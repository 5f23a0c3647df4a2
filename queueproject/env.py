"""Every setting that comes from the environment: its type, default and meaning, once.

A setting's environment name is its field's name in upper case. Durations are seconds and may be fractions.
"""

import os
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from jobs.rates import parse_rates
from queueproject.queues import QUEUES

DEMO_SECRET = "demo-secret-for-development-only-never-for-the-public"
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
Names = Annotated[tuple[str, ...], NoDecode]


def _rates(text: str) -> str:
    parse_rates(text)
    return text


Rates = Annotated[str, AfterValidator(_rates)]
"""As in ``30/minute, 1000/day``."""


class QueueDefaults(BaseModel):
    """What the environment may say about one queue; see ``jobs.models_metrics.QueueSettings``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout_seconds: Seconds | None = None
    max_attempts: Count | None = None
    backoff_seconds: Seconds | None = None
    backoff_cap_seconds: Seconds | None = None
    keep_seconds: Seconds | None = None
    concurrency: Count | None = None
    waiting: Count | None = None
    waiting_per_user: Count | None = None
    waiting_per_scope: Count | None = None
    rate: Rates = ""
    rate_per_user: Rates = ""
    rate_per_scope: Rates = ""


class Config(BaseSettings):
    """The process's settings, read from the environment when it starts and never changed afterwards."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, validate_default=True)

    _mask_wrapped: ClassVar[bool] = True
    """Django's settings ask everything that is read from them for this; to find out that a model has none is slow."""

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
    database_prepare: bool = Field(
        True, description="Prepare the hot statements on PostgreSQL. Not behind a PgBouncer that pools transactions."
    )
    database_timeout_seconds: Seconds = Field(
        5, description="How long to wait for a pooled PostgreSQL connection, or for SQLite's write lock."
    )
    database_idle_seconds: float = Field(
        30,
        ge=0,
        le=86_400,
        description="PostgreSQL ends a transaction in which nothing happens for so long: a process that was stopped "
        "within it gives its locks free. 0 never does, for a PgBouncer that refuses `options` at the start.",
    )
    queue_transport: Literal["redis", "memory"] = Field(
        "redis",
        description="What carries hints between processes: Redis, or this process's own memory where web, worker and "
        "scheduler are one process (`manage.py serve`).",
    )
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        repr=False,
        description="Redis carries tickets and wake-ups: redis://, rediss:// or unix://.",
    )
    redis_timeout_seconds: Seconds = Field(1, description="How long to wait for Redis before going on without it.")

    worker_concurrency: Count = Field(100, description="Jobs that one worker process runs at a time.")
    lease_seconds: Seconds = Field(12, description="A worker not heard of for so long has lost its jobs to the others.")
    heartbeat_seconds: Seconds = Field(
        4, description="How often a worker renews its lease. Shorter than LEASE_SECONDS."
    )
    poll_seconds: Seconds = Field(
        1, description="Longest time a worker waits before it asks the database itself for work."
    )
    settle_seconds: Seconds = Field(
        0.01, description="Longest time the end of a job waits to be stored with those of jobs that have yet to begin."
    )
    tick_seconds: Seconds = Field(1, description="How often the scheduler looks whether anything is left to be done.")
    due_seconds: Seconds = Field(
        0.02,
        description="How long after a delay, a sleep or a time to decide is over the scheduler sees to it, and to all "
        "that fell due meanwhile.",
    )
    leader_lease_seconds: Seconds = Field(
        5, description="A scheduler not heard of for so long is replaced by another. Longer than TICK_SECONDS."
    )
    progress_seconds: Seconds = Field(
        0.25, description="A handler's progress is kept and told at most this often, whatever it reports."
    )
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
    step_bytes: Count = Field(1_048_576, description="Largest result of a handler's step, as JSON.")
    log_lines: Count = Field(1000, description="How many of the lines that its handler wrote are kept of a job.")
    log_characters: Count = Field(10_000, description="A longer line of a handler's is cut off.")
    idempotency_seconds: Seconds = Field(86400, description="How long an idempotency key is remembered.")
    keep_completed_seconds: Seconds = Field(
        2_592_000, description="How long completed jobs are kept, unless they or their queue say otherwise."
    )
    keep_dead_seconds: Seconds = Field(7_776_000, description="How long dead and expired jobs are kept.")
    keep_cancelled_seconds: Seconds = Field(2_592_000, description="How long jobs that were called off are kept.")
    cleanup_seconds: Seconds = Field(60, description="How often the scheduler deletes what was kept long enough.")
    queue_settings: dict[str, QueueDefaults] = Field(
        {},
        description='What differs in single queues, as JSON: {"llm": {"concurrency": 8, "rate": "90/minute"}}. '
        "The admin's queue settings go before it.",
    )
    concurrency_limits: dict[str, Count] = Field(
        {}, description='Most jobs under way of a concurrency key, as JSON: {"openai": 8, "openai/gpt-5": 2}.'
    )
    refused_retry_seconds: Seconds = Field(
        5, description="Told to whom has too many requests waiting: ask again after this."
    )
    queue_settings_seconds: Seconds = Field(
        3, description="A change of a queue's settings in the admin holds in every process after this."
    )

    status_cache_seconds: Seconds = Field(5, description="A process asks for the queues' status at most this often.")
    queue_status_seconds: Seconds = Field(
        1, description="Who watches a game is told how the queues stand at most this often."
    )
    rollup_seconds: Seconds = Field(60, description="How often a worker writes down what it measured.")
    rollup_keep_seconds: Seconds = Field(
        3600, description="How long measures are kept by the minute; older ones are added up."
    )
    metrics_token: str = Field(
        "", repr=False, description="A bearer token that reads /metrics, beside the tokens with the scope metrics."
    )
    alert_seconds: Seconds = Field(5, description="How often the scheduler looks for what calls for an alert.")
    alert_after_seconds: float = Field(
        30, ge=0, le=86400, description="How long a condition must last before it is an incident."
    )
    alert_oldest_seconds: Seconds = Field(300, description="A queued job older than this calls for an alert.")
    alert_window_seconds: Seconds = Field(300, description="The time over which dead jobs are counted.")
    alert_dead_share: float = Field(
        0.2, gt=0, le=1, description="The share of a queue's ended jobs that may be dead before there is an alert."
    )
    alert_dead_jobs: Count = Field(5, description="Fewer dead jobs than this call for no alert.")
    alert_webhook_url: str = Field("", description="Where incidents are posted to: http:// or https://.")
    alert_webhook_secret: str = Field(
        "", repr=False, description="Signs those posts (Standard Webhooks): whsec_ and base64. Needed with the URL."
    )
    callback_secret: str = Field(
        "", repr=False, description="Verifies callbacks that are `signed` (Standard Webhooks): whsec_ and base64."
    )
    callback_age_seconds: Seconds = Field(300, description="A signed callback that is older, or newer, is refused.")
    alert_timeout_seconds: Seconds = Field(10, description="Longest time for one post or e-mail.")
    alert_emails: Names = Field((), description="Who gets incidents by e-mail: addresses, separated by commas.")
    email_url: str = Field(
        "smtp://localhost:25", repr=False, description="The mail server: smtp:// or smtps://user:password@host:port."
    )
    email_from: str = Field("queueproject@localhost", description="The sender of e-mails.")

    schedule_grace_seconds: Seconds = Field(
        60, description="A schedule's tick that is no later than this always runs. Longer than LEASE_SECONDS."
    )
    schedule_catch_up_limit: Annotated[int, Field(gt=0, le=1000)] = Field(
        100, description="Most ticks of a schedule that run at once after a downtime."
    )
    schedule_keep_seconds: Seconds = Field(
        2_592_000, description="How long it is remembered what became of a schedule's ticks."
    )

    decision_seconds: Seconds = Field(600, description="Time to decide before the default outcome is taken.")
    decision_drafts: Count = Field(5, description="Most drafts of one decision that people can ask for.")
    decision_versions: Count = Field(
        10, description="Most versions of one decision, with those made because the state changed."
    )
    confirm_keywords: Names = Field(
        ("done", "complete", "fertig"),
        min_length=1,
        description="Words that confirm a workflow's step, in any case, separated by commas.",
    )
    confirm_attempts: Count = Field(3, description="After so many other texts a confirmation's fallback is taken.")
    confirm_seconds: Seconds = Field(300, description="Time to confirm a step before its fallback is taken.")
    chronicle_confirm_seconds: Seconds = Field(
        86400, description="Time to confirm a chapter of a game's chronicle, which nobody waits for."
    )
    step_progress_seconds: Seconds = Field(
        1, description="A step of a workflow tells how far it is at most this often."
    )
    claim_seconds: Seconds = Field(120, description="How long a claim on a decision keeps others out.")

    chunk_seconds: Seconds = Field(
        0.1, description="What a model writes within this time reaches those who watch as one chunk."
    )
    follow_seconds: Seconds = Field(1, description="How often a web process asks for new events when no wake-up comes.")
    http_threads: Count = Field(8, description="Threads that answer HTTP requests, in each web process.")
    stream_threads: Count = Field(4, description="Threads that read events for sockets, in each web process.")
    presence_write_seconds: Seconds = Field(20, description="How often an open socket writes that it is there.")
    presence_seconds: Seconds = Field(60, description="A member not seen for so long counts as away.")
    socket_unseen_limit: Count = Field(
        200, description="Events a socket may leave unacknowledged before it gets only the newest number."
    )
    socket_unseen_seconds: Seconds = Field(60, description="A socket that far behind is closed after this.")
    socket_recheck_seconds: Seconds = Field(
        3, description="How often it is checked again who may watch a socket or stream, or an answer being written."
    )
    pass_seconds: Annotated[float, Field(gt=0, le=30)] = Field(
        30, description="How long a one-time pass for a stream is good."
    )
    stream_limit: Count = Field(32, description="Event streams (SSE) that one user may have open in each web process.")
    stream_seconds: Seconds = Field(
        600, description="A stream ends by itself after this, and is resumed by its cursor."
    )
    stream_bytes: Count = Field(524_288, description="A stream ends by itself after so many bytes.")
    stream_keep_alive_seconds: Seconds = Field(30, description="A silent stream says that it is alive this often.")
    stream_retry_seconds: Seconds = Field(
        1, description="How long a browser waits before it opens a broken stream again."
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
    llm_idle_seconds: Seconds = Field(30, description="Longest silence within an answer of the model.")
    llm_characters: Count = Field(20000, description="Longest answer that is read from the model.")
    llm_prompt_tokens: Count = Field(
        16000, description="Most tokens of a prompt, by an estimate: the oldest turns are left out of it."
    )
    llm_tools: bool = Field(
        False,
        description="Let the model propose changes by a tool call. Without, and where a server has no tools, "
        "they come as a block of JSON in its answer.",
    )
    scripted_seconds: float = Field(2, ge=0, le=3600, description="Time the scripted storyteller takes for one answer.")
    scripted_seed: int = Field(1, description="The same seed tells the same story.")
    scripted_faults: str = Field(
        "",
        description="The scripted storyteller's faults, as fault:rate or fault@keyword, separated by commas.",
    )

    @field_validator("allowed_hosts", "trusted_origins", "alert_emails", "confirm_keywords", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("queue_settings")
    @classmethod
    def _are_queues(cls, value: dict[str, QueueDefaults]) -> dict[str, QueueDefaults]:
        if unknown := set(value) - set(QUEUES):
            raise _refused(f"no such queue: {', '.join(sorted(unknown))}; there are {', '.join(QUEUES)}")
        return value

    @field_validator("llm_base_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise _refused(f"{value!r} is no address: allowed is http://host[:port]/path or https://…")
        return value

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

    @field_validator("email_url")
    @classmethod
    def _is_mail_server(cls, value: str) -> str:
        return _with_scheme(value, "smtp", "smtps")

    @field_validator("alert_webhook_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        return value and _with_scheme(value, "http", "https")

    @field_validator("alert_webhook_secret", "callback_secret")
    @classmethod
    def _is_signing_secret(cls, value: str) -> str:
        with suppress(ValueError):
            if not value or (value.startswith("whsec_") and b64decode(value[6:], validate=True)):
                return value
        raise _refused("must be whsec_ followed by base64")

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if reasons := [*self._contradictions(), *self._dangers()]:
            raise _refused("\n".join(reasons))
        return self

    def _contradictions(self) -> Iterator[str]:
        if self.heartbeat_seconds >= self.lease_seconds:
            yield "HEARTBEAT_SECONDS must be shorter than LEASE_SECONDS"
        if self.tick_seconds >= self.leader_lease_seconds:
            yield "LEADER_LEASE_SECONDS must be longer than TICK_SECONDS"
        if self.leader_lease_seconds >= self.schedule_grace_seconds:
            yield "SCHEDULE_GRACE_SECONDS must be longer than LEADER_LEASE_SECONDS"
        if self.presence_write_seconds >= self.presence_seconds:
            yield "PRESENCE_WRITE_SECONDS must be shorter than PRESENCE_SECONDS"
        if self.alert_webhook_url and not self.alert_webhook_secret:
            yield "ALERT_WEBHOOK_URL needs ALERT_WEBHOOK_SECRET"
        if self.alert_window_seconds > self.rollup_keep_seconds:
            yield "ALERT_WINDOW_SECONDS must not be longer than ROLLUP_KEEP_SECONDS"

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
