from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """People decide on what the queue has made, before anyone sees it."""

    name = "approvals"

    def ready(self) -> None:
        """Answer for decisions, and hand the scheduler what falls due."""
        from accounts import permissions
        from approvals import invariants, port, queue
        from approvals.models import Approval
        from approvals.rules import approval_rule
        from jobs import invariants as record
        from jobs import registry

        permissions.register(Approval, approval_rule)
        registry.register_decisions(port.Decisions())
        registry.register_queue(queue.QUEUE, queue.read)
        registry.register_tick("approvals.expire", port.expire_tick)
        registry.register_tick("approvals.settle", port.settle_tick)
        record.register(safety=invariants.SAFETY, liveness=invariants.LIVENESS)
