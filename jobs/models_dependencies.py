"""Which jobs wait for which others."""

from __future__ import annotations

from django.db import models
from django.db.models import OuterRef, Subquery

from jobs.models import Job
from jobs.states import Status


class IfDead(models.TextChoices):
    """What becomes of a job when one it depends on ends without a result."""

    CANCEL = "cancel"
    RUN = "run"


class DependencyQuerySet(models.QuerySet["Dependency"]):
    """The statuses are looked up job for job: for a join PostgreSQL may read all jobs there are."""

    def its_status(self, *statuses: Status) -> DependencyQuerySet:
        """Of jobs with one of these statuses."""
        return self.alias(its=_status_of("job")).filter(its__in=statuses)

    def on_status(self, *statuses: Status) -> DependencyQuerySet:
        """On jobs with one of these statuses."""
        return self.alias(others=_status_of("on")).filter(others__in=statuses)


def _status_of(job: str) -> Subquery:
    return Subquery(Job.objects.filter(pk=OuterRef(job)).values("status"))


class Dependency(models.Model):
    """``job`` may run once ``on`` has ended. Cleanup forgets it when ``job`` has, too."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, db_index=False, related_name="dependencies")
    on = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="dependents")
    if_dead = models.CharField(max_length=10, choices=IfDead.choices, default=IfDead.CANCEL)

    objects = DependencyQuerySet.as_manager()

    class Meta:
        constraints = (models.UniqueConstraint("job", "on", name="dependency_once"),)

    def __str__(self) -> str:
        return f"{self.job_id} after {self.on_id}"
