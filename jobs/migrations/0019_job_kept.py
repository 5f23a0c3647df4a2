from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection, migrations, models

# On PostgreSQL nobody waits for it; SQLite knows one way only.
AddIndex = AddIndexConcurrently if connection.vendor == "postgresql" else migrations.AddIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("jobs", "0018_held_back_in"),
    ]

    operations = [
        AddIndex(
            model_name="job",
            index=models.Index(
                models.F("keep_seconds"),
                models.F("finished_at"),
                condition=models.Q(keep_seconds__isnull=False, finished_at__isnull=False),
                name="job_kept",
            ),
        ),
    ]
