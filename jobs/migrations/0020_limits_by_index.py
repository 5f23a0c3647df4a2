from django.db import migrations, models

from jobs.migrations._concurrently import AddIndex, RemoveIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("jobs", "0019_lists_by_index"),
    ]

    operations = [
        AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(
                    ("started_at__isnull", False),
                    ("status__in", ["pending", "queued", "running", "scheduled", "waiting"]),
                    models.Q(("concurrency_key", ""), _negated=True),
                ),
                fields=["concurrency_key"],
                name="job_permit_by_path",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
        RemoveIndex(model_name="job", name="job_permit"),
        AddIndex(
            model_name="job",
            index=models.Index(
                models.F("queue"),
                condition=models.Q(("started_at__isnull", True), ("status__in", ["pending", "scheduled"])),
                name="job_to_come",
            ),
        ),
    ]
