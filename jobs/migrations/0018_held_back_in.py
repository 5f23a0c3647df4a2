from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import connection, migrations, models

# On PostgreSQL nobody waits for it; SQLite knows one way only.
on_postgresql = connection.vendor == "postgresql"
AddIndex = AddIndexConcurrently if on_postgresql else migrations.AddIndex
RemoveIndex = RemoveIndexConcurrently if on_postgresql else migrations.RemoveIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("jobs", "0017_fair_ranks"),
    ]

    operations = [
        AddIndex(
            model_name="job",
            index=models.Index(
                models.F("held_back_by"),
                models.F("queue"),
                models.F("priority"),
                models.F("rank"),
                models.F("id"),
                condition=models.Q(("held_back_by", ""), _negated=True),
                name="job_held_back_in",
            ),
        ),
        RemoveIndex(model_name="job", name="job_held_back"),
    ]
