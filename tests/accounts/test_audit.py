"""The audit log takes entries and never gives them back."""

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction

from accounts import audit
from accounts.models import AppendOnly, AuditEntry

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

audit.register_action("test.done")


@pytest.fixture
def ada() -> User:
    return User.objects.create(username="ada")


@pytest.fixture
def entry(ada: User) -> AuditEntry:
    return audit.record("test.done", actor=ada, on=ada, colour="red")


def test_an_entry_says_who_did_what_to_which(entry: AuditEntry, ada: User) -> None:
    entry.refresh_from_db()
    assert (entry.actor, entry.actor_label, entry.action) == (ada, "ada", "test.done")
    assert (entry.target_type, entry.target_id, entry.data) == ("auth.user", str(ada.pk), {"colour": "red"})
    assert entry.at


def test_without_an_actor_it_was_the_system(ada: User) -> None:
    assert audit.record("test.done", actor=None, on=ada).actor_label == "system"


def test_an_unregistered_action_is_refused(ada: User) -> None:
    with pytest.raises(LookupError, match="dnoe"):
        audit.record("test.dnoe", actor=ada, on=ada)


def test_python_refuses_to_change_an_entry(entry: AuditEntry) -> None:
    entry.action = "test.undone"
    with pytest.raises(AppendOnly):
        entry.save()
    with pytest.raises(AppendOnly):
        entry.delete()
    with pytest.raises(AppendOnly):
        AuditEntry.objects.update(action="test.undone")
    with pytest.raises(AppendOnly):
        AuditEntry.objects.all().delete()


@pytest.mark.parametrize("column", ["action", "actor_label", "target_id", "data", "at"])
def test_the_database_refuses_to_change_an_entry(entry: AuditEntry, column: str) -> None:
    with pytest.raises(DatabaseError, match=r"append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE accounts_auditentry SET {column} = {column}")


def test_the_database_refuses_another_actor(entry: AuditEntry) -> None:
    bob = User.objects.create(username="bob")
    with pytest.raises(DatabaseError, match=r"append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_auditentry SET actor_id = %s", [bob.pk])


def test_postgresql_refuses_to_delete_an_entry(entry: AuditEntry) -> None:
    if connection.vendor == "postgresql":
        with pytest.raises(DatabaseError, match=r"append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM accounts_auditentry")
    assert AuditEntry.objects.count() == 1


def test_an_entry_outlives_its_actor(entry: AuditEntry, ada: User) -> None:
    ada.delete()
    entry.refresh_from_db()
    assert (entry.actor, entry.actor_label) == (None, "ada")
