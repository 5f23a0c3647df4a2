"""The tags of jobs. By public id, so that those of a tag are found in the order in which listings show them."""

from __future__ import annotations

from django.db import models

from jobs.models import Job
from jobs.tags import TAG_CHARACTERS


class JobTag(models.Model):
    """One tag of a job."""

    job = models.ForeignKey(Job, to_field="public_id", on_delete=models.CASCADE, related_name="tags")
    tag = models.CharField(max_length=TAG_CHARACTERS)

    class Meta:
        constraints = (models.UniqueConstraint("tag", "job", name="job_tag_once"),)

    def __str__(self) -> str:
        return self.tag
