"""What calls for attention is told of once, and is over once it has passed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db.models.functions import Now
from django.test import Client as Browser
from django.utils import timezone

from jobs import alerts
from jobs.models import Job, Leadership, Worker
from jobs.models_metrics import Incident, Rollup
from jobs.operations import incidents, leases
from jobs.operations.enqueue import enqueue
from jobs.overview import look, overview
from jobs.scheduler.alerts import Alerts
from jobs.scheduler.leadership import lead
from jobs.testing import run_until_idle
from jobs.webhooks import signed
from jobs.worker.watch import LeaderWatch
from queueproject.queues import QUEUES
from queueproject.testing.loopback import serving
from tests.jobs.kinds import ECHO, Plan
from tests.jobs.receiver import Receiver, signature
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Config = Callable[..., None]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def _at_once(config: Config) -> None:
    config(alert_after_seconds=0)


@pytest.fixture
def worker(config: Config) -> Worker:
    """A live worker on every queue, however slow this machine is."""
    config(lease_seconds=600)
    return leases.register(name="w", queues=list(QUEUES), slots=1)


def found() -> set[tuple[str, str]]:
    """The conditions that hold now."""
    return {(finding.alert, finding.subject) for finding in alerts.of_queues(look())}


def opened() -> list[tuple[str, str, bool]]:
    """All incidents: which, of what, and whether it has passed."""
    rows = Incident.objects.order_by("pk").values_list("alert", "subject", "closed_at")
    return [(alert, subject, closed_at is not None) for alert, subject, closed_at in rows]


def wait_for_long(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(queued_at=Now() - timedelta(hours=1))


def test_nothing_is_found_where_all_is_well(worker: Worker) -> None:
    enqueue(ECHO, Plan())
    assert found() == set()


def test_a_queue_that_nobody_serves_is_found(worker: Worker) -> None:
    Worker.objects.update(queues=[name for name in QUEUES if name != "llm"])
    assert found() == {("no_worker", "llm")}


def test_a_worker_whose_lease_ran_out_serves_nothing(worker: Worker) -> None:
    Worker.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert found() == {("no_worker", name) for name in QUEUES}


def test_a_job_that_waits_too_long_is_found(worker: Worker) -> None:
    wait_for_long(enqueue(ECHO, Plan()))
    assert found() == {("oldest", "system")}


def test_a_job_that_was_suspended_for_long_has_not_waited_since(worker: Worker) -> None:
    job = enqueue(ECHO, Plan())
    Job.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(hours=1))
    assert found() == set()


@pytest.mark.parametrize(("dead", "completed", "alert"), [(5, 10, True), (4, 0, False), (5, 40, False)])
def test_many_dead_jobs_are_found(worker: Worker, dead: int, completed: int, alert: bool) -> None:
    minute = timezone.now()
    for measure, count in (("job.dead", dead), ("job.completed", completed)):
        Rollup.objects.create(minute=minute, queue="llm", measure=measure, count=count)
    assert (("dead", "llm") in found()) == alert


def test_an_incident_is_opened_once_and_closed_when_it_has_passed(worker: Worker) -> None:
    job = enqueue(ECHO, Plan())
    wait_for_long(job)
    Alerts()()
    Alerts()()
    assert opened() == [("oldest", "system", False)]
    run_until_idle()
    Alerts()()
    assert opened() == [("oldest", "system", True)]


def test_one_that_comes_back_is_another_incident(worker: Worker) -> None:
    for _ in range(2):
        wait_for_long(enqueue(ECHO, Plan()))
        Alerts()()
        run_until_idle()
        Alerts()()
    assert opened() == [("oldest", "system", True)] * 2


def test_a_condition_that_passes_soon_is_no_incident(worker: Worker, config: Config) -> None:
    config(alert_after_seconds=60)
    wait_for_long(enqueue(ECHO, Plan()))
    service = Alerts()
    service()
    service()
    assert opened() == []


def test_one_who_found_it_in_the_same_moment_does_not_tell_again(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = alerts.Finding("oldest", "llm", "late")
    assert len(incidents.open_(findings=[finding])) == 1
    monkeypatch.setattr(incidents, "_known", set)
    assert incidents.open_(findings=[finding]) == []
    assert len(opened()) == 1


def test_workers_tell_that_nobody_leads_and_the_next_leader_that_it_has_passed(worker: Worker) -> None:
    wait_until(lambda: lead("one"))
    LeaderWatch().look()
    assert opened() == []
    Leadership.objects.update(lease_until=Now() - timedelta(seconds=1))
    LeaderWatch().look()
    assert opened() == [("no_leader", "", False)]
    Alerts()()
    assert opened() == [("no_leader", "", True)]


def test_open_incidents_are_shown_as_information(client: Browser) -> None:
    before = client.get("/readyz").json()
    incidents.open_(findings=[alerts.Finding("oldest", "llm", "it is late")])
    assert client.get("/readyz").json() == before | {"alerts": ["it is late"]}
    client.force_login(User.objects.create_superuser("admin"))
    overview.forget()
    assert "it is late" in client.get("/ops/").content.decode()
    assert "it is late" in client.get("/admin/jobs/incident/").content.decode()
    overview.forget()


# -- telling -------------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver(config: Config) -> Iterator[Receiver]:
    with serving(Receiver()) as server:
        config(alert_webhook_url=server.url, alert_webhook_secret=SECRET, alert_after_seconds=0)
        yield server


def late(queue: str = "llm") -> None:
    incidents.open_(findings=[alerts.Finding("oldest", queue, "it is late")])


def test_an_incident_is_posted_once_and_signed(receiver: Receiver) -> None:
    late()
    late()
    run_until_idle()
    [(headers, body)] = receiver.posts
    told = json.loads(body)
    assert told["type"] == "alert.oldest"
    assert told["data"]["detail"] == "it is late"
    assert told["data"].keys() == {"incident", "alert", "subject", "detail", "opened_at"}
    assert headers["webhook-signature"] == signature(SECRET, headers, body)


def test_a_signature_is_that_of_the_standard() -> None:
    headers = signed(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_that_fails_is_asked_again_under_the_same_id(receiver: Receiver) -> None:
    receiver.answers += [503, 500]
    late()
    run_until_idle()
    assert len(receiver.posts) == 3
    assert len({headers["webhook-id"] for headers, _ in receiver.posts}) == 1


def test_a_receiver_that_refuses_is_not_asked_again(receiver: Receiver) -> None:
    receiver.answers += [410]
    late()
    run_until_idle()
    assert len(receiver.posts) == 1
    assert Job.objects.get(type="alert").error == {"code": "webhook_refused", "detail": "the webhook answered 410"}


def test_a_webhook_that_is_gone_keeps_no_email_from_being_sent(receiver: Receiver, config: Config) -> None:
    receiver.answers += [410]
    config(alert_emails=("ops@example.org",))
    late()
    run_until_idle()
    assert (len(receiver.posts), len(mail.outbox)) == (1, 1)


def test_a_way_that_is_configured_no_more_is_not_taken(receiver: Receiver, config: Config) -> None:
    late()
    config(alert_webhook_url="")
    run_until_idle()
    assert (receiver.posts, Job.objects.get().result) == ([], {})


def test_a_post_that_was_taken_is_not_repeated_for_an_email_that_was_not(
    receiver: Receiver, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    config(alert_emails=("ops@example.org",))
    monkeypatch.setattr("django.core.mail.EmailMessage.send", _fail_once(mail.EmailMessage.send))
    late()
    run_until_idle()
    assert len(receiver.posts) == 1
    [message] = mail.outbox
    assert message.to == ["ops@example.org"]
    assert message.subject == "[queueproject] oldest llm"
    assert "it is late" in message.body


def _fail_once(send: Callable[[mail.EmailMessage], int]) -> Callable[[mail.EmailMessage], int]:
    failed: list[bool] = []

    def sending(message: mail.EmailMessage) -> int:
        if not failed:
            failed.append(True)
            raise ConnectionRefusedError
        return send(message)

    return sending


def test_nothing_is_enqueued_where_nobody_is_to_be_told() -> None:
    late()
    assert Job.objects.count() == 0
