"""The queues that workers serve. People serve one more: dm_approvals, whose items are approvals."""

QUEUES = ("player_actions", "dm_actions", "llm", "assets", "deliveries", "system", "alerts")
