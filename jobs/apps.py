from django.apps import AppConfig
from django.conf import settings
from django.core.signals import request_finished


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = "Queue"

    def ready(self) -> None:
        """Answer for the rights of those who operate it."""
        from accounts import permissions
        from jobs import checks, jobtypes, refusals, registry, webhooks  # noqa: F401
        from jobs.models import Job, QueueControl
        from jobs.owners import KIND, OwnerScope
        from jobs.rules import operator_rule

        permissions.register(Job, operator_rule)
        permissions.register(QueueControl, operator_rule)
        if settings.CONFIG.callback_secret:
            registry.register_verifier("signed", webhooks.is_signed)
        registry.register_scope(KIND, OwnerScope())
        request_finished.connect(refusals.write)
        _register_invariants()


def _register_invariants() -> None:
    from jobs import content_invariants, invariants, liveness, workflow_invariants

    invariants.register(safety=workflow_invariants.SAFETY, liveness=liveness.LIVENESS)
    invariants.register(safety=content_invariants.SAFETY)
