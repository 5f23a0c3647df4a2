"""Threads and processes that write to SQLite at the same time."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction

from queueproject.sqlite.mutex import FairMutex
from tests.waiting import wait_until

pytestmark = pytest.mark.fast


def in_threads(count: int, function: Callable[[], object]) -> list[object]:
    def run() -> object:
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(run) for _ in range(count)]]


def test_waiters_get_the_mutex_in_the_order_they_came() -> None:
    mutex = FairMutex()
    mutex.acquire(1)
    order: list[int] = []

    def wait(number: int) -> None:
        assert mutex.acquire(5)
        order.append(number)
        mutex.release()

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        wait_until(lambda: len(mutex._waiting) == number + 1)  # noqa: B023
    mutex.release()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_a_waiter_that_gives_up_leaves_the_line() -> None:
    mutex = FairMutex()
    mutex.acquire(1)
    assert not mutex.acquire(0.01)
    mutex.release()
    assert mutex.acquire(0.01)


@pytest.mark.django_db(transaction=True)
def test_no_update_is_lost_when_threads_read_and_then_write() -> None:
    user = User.objects.create(username="counter", first_name="0")

    def count() -> None:
        for _ in range(20):
            with transaction.atomic():
                row = User.objects.get(pk=user.pk)
                row.first_name = str(int(row.first_name) + 1)
                row.save()

    in_threads(8, count)
    user.refresh_from_db()
    assert user.first_name == "160"


@pytest.mark.django_db(transaction=True)
def test_the_database_is_in_wal_mode_with_immediate_transactions() -> None:
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert cursor.execute("PRAGMA synchronous").fetchone() == (1,)
    assert connection.transaction_mode == "IMMEDIATE"  # type: ignore[attr-defined]


@pytest.fixture
def short_timeout() -> Iterator[None]:
    options = connection.settings_dict["OPTIONS"]
    before = options["timeout"]
    options["timeout"] = 0.1
    connection.close()
    yield
    options["timeout"] = before
    connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("short_timeout")
def test_a_begin_that_fails_lets_the_mutex_go() -> None:
    other = connection.copy()
    other.connect()
    other.connection.execute("BEGIN IMMEDIATE")  # Another process would: not through the mutex.
    with pytest.raises(OperationalError, match="locked"), transaction.atomic():
        pass
    other.connection.rollback()
    other.close()
    with transaction.atomic():
        User.objects.create(username="after")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("short_timeout")
def test_a_thread_that_waits_too_long_is_refused_like_a_busy_database() -> None:
    def write() -> str:
        try:
            with transaction.atomic():
                return "written"
        except OperationalError as error:
            return str(error)

    with transaction.atomic():
        assert in_threads(1, write) == ["database is locked by another thread"]
    assert in_threads(1, write) == ["written"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("short_timeout")
def test_closing_the_connection_inside_a_transaction_lets_the_mutex_go() -> None:
    def abandon() -> None:
        transaction.set_autocommit(True)
        connection._start_transaction_under_autocommit()  # type: ignore[attr-defined]
        connection.close()

    in_threads(1, abandon)
    with transaction.atomic():
        User.objects.create(username="after")
