from django.db import migrations, models

from jobs.migrations._concurrently import AddIndex, RemoveIndex


class Migration(migrations.Migration):
    """Who began in time was read again each second, for as long as it waited for a person."""

    atomic = False

    dependencies = [
        ("jobs", "0021_depended_on"),
    ]

    operations = [
        AddIndex(
            model_name="job",
            index=models.Index(
                models.F("expires_at"),
                condition=models.Q(
                    ("expires_at__isnull", False),
                    ("finished_at__isnull", True),
                    ("started_at__isnull", True),
                ),
                name="job_to_begin",
            ),
        ),
        RemoveIndex(model_name="job", name="job_expiry"),
    ]
