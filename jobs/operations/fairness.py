"""Where a job that may run stands among others: nobody's thousand jobs keep somebody else's first from running.

Start-time fair queuing (Goyal, Vin, Cheng 1996) with jobs of equal cost, in each priority of a queue by itself. The
virtual time is the highest rank that has begun, or one less than the next in line's, if that is more. A job is ranked
when it may run for the first time: no less than the virtual time, and after those of its flow that wait, or that have
begun at this time. Jobs are handed out by rank.
"""

_NEXT = (
    "(SELECT {column} FROM jobs_job WHERE queue = {queue} AND status = 'queued' AND held_back_by = ''"
    " AND ticketed = {ticketed} {within} ORDER BY priority, rank, id LIMIT 1)"
)

_RUNS, _RAN = "status = 'running'", "started_at IS NOT NULL AND NOT status = 'running'"
"""Those that have begun, as two indexes have them: one of all would be written once more for each job."""


def standing(*, queue: str = "%(queue)s", fair_key: str = "%(fair_key)s", priority: str = "%(priority)s") -> str:
    """A query for how a queue stands for one flow, by index look-ups; its parameters can be other SQL.

    ``rank``: what the flow's next job gets. ``virtual_time``: how far this priority has come. ``leads``: whether that
    job comes before all that have a ticket, if any has. ``behind``: whether jobs that may run wait for a ticket.
    """

    def next_(column: str, *, ticketed: bool, within: str = "") -> str:
        return _NEXT.format(column=column, queue=queue, ticketed=str(ticketed).lower(), within=within)

    here = f"AND priority = {priority}"
    last = f"SELECT max(rank) AS rank FROM jobs_job WHERE queue = {queue} {here} AND {{}}"
    served = f"""EXISTS (
        SELECT 1 FROM jobs_job WHERE queue = {queue} {here} AND rank = virtual_time AND fair_key = {fair_key} AND {{}}
    )"""
    # LIMIT keeps PostgreSQL from looking up once for each time that a result is used.
    return f"""
    SELECT
        rank,
        virtual_time,
        COALESCE({priority} < first_priority OR {priority} = first_priority AND rank < first_rank, false) AS leads,
        behind
    FROM (
        SELECT *, CASE WHEN last >= turn THEN last + 1 ELSE turn END AS rank
        FROM (
            SELECT *, virtual_time + CASE WHEN {served.format(_RUNS)} OR {served.format(_RAN)} THEN 1 ELSE 0 END AS turn
            FROM (
                SELECT *, CASE WHEN next_rank > begun THEN next_rank - 1 ELSE begun END AS virtual_time
                FROM (
                    SELECT
                        COALESCE((
                            SELECT max(rank) FROM ({last.format(_RUNS)} UNION ALL {last.format(_RAN)}) AS begun
                        ), 0) AS begun,
                        COALESCE(
                            {next_("rank", ticketed=True, within=here)},
                            {next_("rank", ticketed=False, within=here)}
                        ) AS next_rank,
                        ({last.format(f"fair_key = {fair_key} AND status = 'queued'")}) AS last,
                        {next_("priority", ticketed=True)} AS first_priority,
                        {next_("rank", ticketed=True)} AS first_rank,
                        {next_("rank", ticketed=False)} IS NOT NULL AS behind
                    LIMIT 1
                ) AS looked_up
            ) AS timed
            LIMIT 1
        ) AS placed
    ) AS ranked"""
