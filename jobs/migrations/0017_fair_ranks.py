from django.db import migrations, models

from jobs.migrations._concurrently import AddIndex, RemoveIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("jobs", "0016_longer_operations"),
    ]

    operations = [
        AddIndex(
            model_name="job",
            index=models.Index(
                models.F("queue"),
                models.F("priority"),
                models.F("rank"),
                models.F("fair_key"),
                condition=models.Q(("status", "running")),
                name="job_at_work",
            ),
        ),
        AddIndex(
            model_name="job",
            index=models.Index(
                models.F("queue"),
                models.F("priority"),
                models.F("rank"),
                models.F("fair_key"),
                condition=models.Q(("started_at__isnull", False), models.Q(("status", "running"), _negated=True)),
                name="job_begun",
            ),
        ),
        AddIndex(
            model_name="job",
            index=models.Index(
                models.F("queue"),
                models.F("priority"),
                models.F("fair_key"),
                models.F("rank"),
                condition=models.Q(("status", "queued")),
                name="job_in_flow",
            ),
        ),
        RemoveIndex(model_name="job", name="job_flow"),
        RemoveIndex(model_name="job", name="job_behind"),
        RemoveIndex(model_name="job", name="job_running"),
    ]
