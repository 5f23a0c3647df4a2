from django.db import migrations, models

from jobs.migrations._concurrently import AddIndex, RemoveIndex


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
                condition=models.Q(("keep_seconds__isnull", False)),
                name="job_kept",
            ),
        ),
        AddIndex(
            model_name="job",
            index=models.Index(
                models.F("scope"),
                models.F("public_id"),
                condition=models.Q(("scope__isnull", False)),
                name="job_in_scope",
            ),
        ),
        AddIndex(
            model_name="job",
            index=models.Index(
                models.F("owner"),
                models.F("public_id"),
                condition=models.Q(("owner__isnull", False)),
                name="job_of_owner",
            ),
        ),
        RemoveIndex(model_name="job", name="job_scope"),
        RemoveIndex(model_name="job", name="job_owner"),
    ]
