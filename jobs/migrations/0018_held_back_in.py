from django.db import migrations, models

from jobs.migrations._concurrently import AddIndex, RemoveIndex


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
