"""Where a new job stands among those of others: nobody's thousand jobs keep somebody else's first from running.

Start-time fair queuing (Goyal, Vin, Cheng 1996) with jobs of equal cost: a job's rank is one more than the last of its
own flow that still waits, and no less than the rank of the job that is next in line, which is the virtual time. Within
a priority, jobs are handed out by rank.
"""

from __future__ import annotations

from typing import NamedTuple

from jobs import sql

_NEXT = (
    "(SELECT {column} FROM jobs_job WHERE queue = %(queue)s AND status = 'queued' AND held_back_by = ''"
    " AND ticketed = {ticketed} ORDER BY priority, rank, id LIMIT 1)"
)
_STANDING = ", ".join(
    (
        "SELECT (SELECT max(rank) FROM jobs_job WHERE queue = %(queue)s AND fair_key = %(flow)s"
        " AND status IN ('pending', 'queued'))",
        _NEXT.format(column="priority", ticketed="true"),
        _NEXT.format(column="rank", ticketed="true"),
        _NEXT.format(column="rank", ticketed="false"),
        "(SELECT min(rank) FROM jobs_job WHERE queue = %(queue)s AND status = 'pending')",
    )
)


class Standing(NamedTuple):
    """How a queue stands for one flow.

    ``rank``: what its next job gets. ``first``: the (priority, rank) of the job at the front of the queue's list, if
    there is one. ``behind``: whether jobs that may run wait for a ticket.
    """

    rank: int
    first: tuple[int, int] | None
    behind: bool

    def leads(self, priority: int) -> bool:
        """Whether a job of this priority would run before all that have tickets."""
        return self.first is not None and (priority, self.rank) < self.first


def standing(queue: str, flow: str) -> Standing:
    """How the queue stands for this flow, in one statement of index look-ups."""
    ((last, priority, ticketed, unticketed, pending),) = sql.ask(_STANDING, queue=queue, flow=flow)
    now = next((rank for rank in (ticketed, unticketed, pending) if rank is not None), 0)
    rank = now if last is None else max(last + 1, now)
    return Standing(rank, None if ticketed is None else (priority, ticketed), unticketed is not None)
