"""The database itself refuses to change the history of an approval.

``by`` may become null, which is how a decision outlives its user. On SQLite rows may be deleted by SQL, because that
is how Django empties a test database there.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

VERSIONS, DECISIONS = "approvals_approvalversion", "approvals_approvaldecision"
GUARDS = {
    "approval_version_no_update": f"UPDATE ON {VERSIONS}",
    "approval_decision_no_update": (
        "UPDATE OF id, approval_id, version, kind, decision, by_label, text, changes, reason, regenerate, diff, at "
        f"ON {DECISIONS}"
    ),
}
REASSIGNMENT = f"approval_decision_no_reassignment BEFORE UPDATE OF by_id ON {DECISIONS}"
REFUSAL = "the history of an approval is append-only"


def _sqlite() -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    return [
        *(f"CREATE TRIGGER {name} BEFORE {event} {refuse}" for name, event in GUARDS.items()),
        f"CREATE TRIGGER {REASSIGNMENT} WHEN NEW.by_id IS NOT NULL {refuse}",
    ]


def _postgresql() -> list[str]:
    refuse = "EXECUTE FUNCTION approval_append_only()"
    deletes = {f"{table}_no_delete": f"DELETE ON {table}" for table in (VERSIONS, DECISIONS)}
    return [
        "CREATE FUNCTION approval_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        *(
            f"CREATE TRIGGER {name} BEFORE {event} FOR EACH ROW {refuse}"
            for name, event in {**GUARDS, **deletes}.items()
        ),
        f"CREATE TRIGGER {REASSIGNMENT} FOR EACH ROW WHEN (NEW.by_id IS NOT NULL) {refuse}",
    ]


def create(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    for statement in _postgresql() if editor.connection.vendor == "postgresql" else _sqlite():
        editor.execute(statement)


def drop(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute("DROP FUNCTION approval_append_only CASCADE")
        return
    for name in (*GUARDS, "approval_decision_no_reassignment"):
        editor.execute(f"DROP TRIGGER {name}")


class Migration(migrations.Migration):
    dependencies = [("approvals", "0001_initial")]

    operations = [migrations.RunPython(create, drop)]
