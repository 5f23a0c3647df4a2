from django.db import migrations, models


class Migration(migrations.Migration):
    """Who came to depend on a job before this is let run by the scheduler, within a second of its end."""

    dependencies = [
        ("jobs", "0020_limits_by_index"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="depended_on",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
