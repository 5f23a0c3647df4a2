"""The database itself refuses to change an audit entry.

An entry's actor may become null, which is how it outlives its user. On SQLite rows may be deleted by SQL, because
that is how Django empties a test database there.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

TABLE = "accounts_auditentry"
COLUMNS = "id, actor_label, action, target_type, target_id, data, at"

SQLITE = f"""
CREATE TRIGGER audit_no_update BEFORE UPDATE OF {COLUMNS} ON {TABLE}
BEGIN SELECT RAISE(ABORT, 'audit entries are append-only'); END;
CREATE TRIGGER audit_no_reassignment BEFORE UPDATE OF actor_id ON {TABLE} WHEN NEW.actor_id IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'audit entries are append-only'); END;
"""

POSTGRESQL = f"""
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit entries are append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$;
CREATE TRIGGER audit_no_update BEFORE UPDATE OF {COLUMNS} ON {TABLE}
FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_no_reassignment BEFORE UPDATE OF actor_id ON {TABLE}
FOR EACH ROW WHEN (NEW.actor_id IS NOT NULL) EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_no_delete BEFORE DELETE ON {TABLE}
FOR EACH ROW EXECUTE FUNCTION audit_append_only();
"""


def create(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(POSTGRESQL)
    else:
        for statement in filter(str.strip, SQLITE.split("END;")):
            editor.execute(f"{statement} END;")


def drop(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    on_table = f" ON {TABLE}" if editor.connection.vendor == "postgresql" else ""
    for trigger in ("audit_no_update", "audit_no_reassignment"):
        editor.execute(f"DROP TRIGGER {trigger}{on_table}")
    if on_table:
        editor.execute("DROP FUNCTION audit_append_only CASCADE")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunPython(create, drop)]
