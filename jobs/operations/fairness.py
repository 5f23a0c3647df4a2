"""Where a new job stands among those of others: nobody's thousand jobs keep somebody else's first from running.

Start-time fair queuing (Goyal, Vin, Cheng 1996) with jobs of equal cost: a job's rank is one more than the last of its
own flow that still waits, and no less than the rank of the job that is next in line, which is the virtual time. Within
a priority, jobs are handed out by rank.
"""

_NEXT = (
    "(SELECT {column} FROM jobs_job WHERE queue = %(queue)s AND status = 'queued' AND held_back_by = ''"
    " AND ticketed = {ticketed} ORDER BY priority, rank, id LIMIT 1)"
)

STANDING = f"""
    SELECT
        rank,
        COALESCE(%(priority)s < first_priority OR %(priority)s = first_priority AND rank < first_rank, false) AS leads,
        next_rank IS NOT NULL AS behind
    FROM (
        SELECT *, CASE WHEN last >= virtual_time THEN last + 1 ELSE virtual_time END AS rank
        FROM (
            SELECT *, COALESCE(first_rank, next_rank, pending_rank, 0) AS virtual_time
            FROM (
                SELECT
                    (SELECT max(rank) FROM jobs_job WHERE queue = %(queue)s AND fair_key = %(fair_key)s
                        AND status IN ('pending', 'queued')) AS last,
                    {_NEXT.format(column="priority", ticketed="true")} AS first_priority,
                    {_NEXT.format(column="rank", ticketed="true")} AS first_rank,
                    {_NEXT.format(column="rank", ticketed="false")} AS next_rank,
                    (SELECT min(rank) FROM jobs_job WHERE queue = %(queue)s AND status = 'pending') AS pending_rank
            ) AS looked_up
        ) AS timed
    ) AS ranked"""
"""How a queue stands for one flow, by index look-ups; its parameters are ``queue``, ``fair_key`` and ``priority``.

``rank``: what the flow's next job gets. ``leads``: whether that job, of this priority, comes before all that have a
ticket, if any has. ``behind``: whether jobs that may run wait for a ticket.
"""
