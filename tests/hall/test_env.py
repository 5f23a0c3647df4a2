"""Settings from the environment: what is taken, what is refused, and how it is said."""

from collections.abc import Callable

import pytest

from queueproject import env, reference
from queueproject.stack.commands import PROJECT

pytestmark = pytest.mark.fast

SECRET = "s" * 50
Load = Callable[..., env.Config]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """``load(PORT="1")`` reads the settings from just this environment."""
    for name in env.Config.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def load_from(**environment: str) -> env.Config:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return env.load()

    return load_from


def refusal(load: Load, **environment: str) -> list[str]:
    with pytest.raises(SystemExit) as stopped:
        load(**environment)
    return str(stopped.value).splitlines()


def test_a_public_site_needs_only_a_secret(load: Load) -> None:
    config = load(SECRET_KEY=SECRET)
    assert (config.debug, config.demo, config.port, config.lease_seconds) == (False, False, 8000, 12)


def test_values_are_typed(load: Load) -> None:
    config = load(DEBUG="true", ALLOWED_HOSTS=" a.example, ,b.example ", LEASE_SECONDS="7.5", PORT="", DEMO="1")
    assert (config.debug, config.demo) == (True, True)
    assert config.allowed_hosts == ("a.example", "b.example")
    assert config.lease_seconds == 7.5
    assert config.port == 8000, "empty counts as not given"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("DEBUG", "maybe", "DEBUG=maybe: allowed are 1, 0, true, false"),
        ("PORT", "99999", "PORT=99999: Input should be less than or equal to 65535"),
        ("PORT", "http", "PORT=http: Input should be a valid integer, unable to parse string as an integer"),
        ("LEASE_SECONDS", "0", "LEASE_SECONDS=0: Input should be greater than 0"),
        ("LEASE_SECONDS", "nan", "LEASE_SECONDS=nan: Input should be a finite number"),
        ("LLM_PROVIDER", "magic", "LLM_PROVIDER=magic: Input should be 'scripted' or 'openai_compatible'"),
        ("SECRET_KEY", "short", "SECRET_KEY: String should have at least 32 characters"),
        (
            "DATABASE_URL",
            "mysql://u:secret@h/d",
            "DATABASE_URL: must begin with sqlite:// or postgres:// or postgresql://",
        ),
        ("REDIS_URL", "localhost", "REDIS_URL: must begin with redis:// or rediss:// or unix://"),
        ("ALLOWED_HOSTS", ",", "ALLOWED_HOSTS=,: Tuple should have at least 1 item after validation, not 0"),
        (
            "LLM_BASE_URL",
            "localhost:11434",
            "LLM_BASE_URL=localhost:11434: 'localhost:11434' is no address: "
            "allowed is http://host[:port]/path or https://…",
        ),
        (
            "TRUSTED_ORIGINS",
            "a.example",
            "TRUSTED_ORIGINS=a.example: 'a.example' is not an origin: allowed is scheme://host[:port], without a path",
        ),
        ("HEARTBEAT_SECONDS", "12", "HEARTBEAT_SECONDS must be shorter than LEASE_SECONDS"),
        ("TICK_SECONDS", "5", "LEADER_LEASE_SECONDS must be longer than TICK_SECONDS"),
        ("LEADER_LEASE_SECONDS", "60", "SCHEDULE_GRACE_SECONDS must be longer than LEADER_LEASE_SECONDS"),
        ("PRESENCE_SECONDS", "20", "PRESENCE_WRITE_SECONDS must be shorter than PRESENCE_SECONDS"),
    ],
)
def test_a_wrong_value_is_one_line_with_name_and_what_is_allowed(load: Load, name: str, value: str, line: str) -> None:
    assert refusal(load, **{"SECRET_KEY": SECRET, name: value}) == [f"Wrong setting: {line}"]


def test_every_wrong_setting_is_told_at_once(load: Load) -> None:
    assert len(refusal(load, PORT="x", LEASE_SECONDS="y")) == 2


def test_outside_debug_whatever_is_for_the_demo_is_refused(load: Load) -> None:
    assert refusal(load, DEMO="1", ALLOWED_HOSTS="*,a.example") == [
        "Wrong setting: DEMO=1 is allowed only with DEBUG=1: the demo's passwords are known to all",
        "Wrong setting: SECRET_KEY must be set: without DEBUG=1 the demo secret is refused",
        "Wrong setting: ALLOWED_HOSTS=* is allowed only with DEBUG=1: name the site's hosts",
    ]


def test_in_debug_it_is_allowed(load: Load) -> None:
    assert load(DEBUG="1", DEMO="1", ALLOWED_HOSTS="*").demo


def test_secrets_are_not_shown(load: Load) -> None:
    config = load(SECRET_KEY=SECRET, LLM_API_KEY="sk-x", DATABASE_URL="postgres://u:pw@h/d", REDIS_URL="redis://:pw@h")
    assert not any(secret in repr(config) for secret in (SECRET, "sk-x", "pw"))


def test_the_page_about_settings_is_that_of_the_code() -> None:
    written = (PROJECT / "docs" / "settings.md").read_text()
    assert written == reference.page(), "run: python -m queueproject.reference > docs/settings.md"
