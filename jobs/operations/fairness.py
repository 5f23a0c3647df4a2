"""Where a job that may run stands among others: nobody's thousand jobs keep somebody else's first from running.

Start-time fair queuing (Goyal, Vin, Cheng 1996) with jobs of equal cost, in each priority of a queue by itself. The
virtual time is the highest rank that has begun, or one less than the next in line's, if that is more. A job is ranked
when it may run for the first time: no less than the virtual time, and after those of its flow that wait, or that have
begun at this time. Jobs are handed out by rank.

All by index look-ups. ``LIMIT`` and ``MATERIALIZED`` keep PostgreSQL from looking up once for each time that a result
is used.
"""

_NEXT = (
    "(SELECT {column} FROM jobs_job WHERE queue = {queue} AND status = 'queued' AND held_back_by = ''"
    " AND ticketed = {ticketed} {within} ORDER BY priority, rank, id LIMIT 1)"
)
_RUNS, _RAN = "status = 'running'", "started_at IS NOT NULL AND NOT status = 'running'"
"""Those that have begun, as two indexes have them: one of all would be written once more for each job."""


def _next(column: str, queue: str, *, ticketed: bool, within: str = "") -> str:
    return _NEXT.format(column=column, queue=queue, ticketed=str(ticketed).lower(), within=within)


def behind(queue: str) -> str:
    """Whether jobs of this queue that may run wait for a ticket."""
    return f"{_next('rank', queue, ticketed=False)} IS NOT NULL"


def virtual_time(*, queue: str, priority: str) -> str:
    """A SELECT of how far a priority of a queue has come."""
    here = f"AND priority = {priority}"
    begun = f"SELECT max(rank) AS rank FROM jobs_job WHERE queue = {queue} {here} AND {{}}"
    return f"""
        SELECT CASE WHEN next_rank > begun THEN next_rank - 1 ELSE begun END FROM (
            SELECT
                COALESCE((
                    SELECT max(rank) FROM ({begun.format(_RUNS)} UNION ALL {begun.format(_RAN)}) AS ranks
                ), 0) AS begun,
                COALESCE(
                    {_next("rank", queue, ticketed=True, within=here)},
                    {_next("rank", queue, ticketed=False, within=here)}
                ) AS next_rank
            LIMIT 1
        ) AS looked_up"""


def _rank(*, at: str, queue: str, fair_key: str, priority: str) -> str:
    """What the next job of a flow gets, ``at`` this virtual time."""
    flow = f"FROM jobs_job WHERE queue = {queue} AND priority = {priority} AND fair_key = {fair_key}"
    served = [f"EXISTS (SELECT 1 {flow} AND rank = {at} AND {begun})" for begun in (_RUNS, _RAN)]
    return f"""
        SELECT CASE WHEN last >= turn THEN last + 1 ELSE turn END FROM (
            SELECT
                {at} + CASE WHEN {" OR ".join(served)} THEN 1 ELSE 0 END AS turn,
                (SELECT max(rank) {flow} AND status = 'queued') AS last
            LIMIT 1
        ) AS placed"""


def ranks(of: str) -> str:
    """The ``id`` and ``rank`` of each in a table ``of`` jobs that take their turn now, in the order of its ``n``.

    Joined so that PostgreSQL sees that they are as many as there.
    """
    rank = _rank(at="t.at", queue="j.queue", fair_key="j.fair_key", priority="j.priority")
    return f"""
        WITH t AS MATERIALIZED (
            SELECT queue, priority, ({virtual_time(queue="p.queue", priority="p.priority")}) AS at
            FROM (SELECT DISTINCT queue, priority FROM {of}) AS p
        )
        SELECT id, ({rank}) + nth - 1 AS rank
        FROM (SELECT *, row_number() OVER (PARTITION BY queue, priority, fair_key ORDER BY n) AS nth FROM {of}) AS j
        LEFT JOIN t ON t.queue = j.queue AND t.priority = j.priority"""


def standing() -> str:
    """How a ``queue`` stands for one flow, a ``fair_key`` within a ``priority``.

    ``rank``: what the flow's next job gets. ``leads``: whether that job comes before all that have a ticket, if any
    has. ``behind``: whether jobs that may run wait for a ticket.
    """
    queue, priority = "%(queue)s", "%(priority)s"
    return f"""
    SELECT
        rank,
        COALESCE({priority} < first_priority OR {priority} = first_priority AND rank < first_rank, false) AS leads,
        behind
    FROM (
        SELECT
            *, ({_rank(at="virtual_time", queue=queue, fair_key="%(fair_key)s", priority=priority)}) AS rank
        FROM (
            SELECT
                ({virtual_time(queue=queue, priority=priority)}) AS virtual_time,
                {_next("priority", queue, ticketed=True)} AS first_priority,
                {_next("rank", queue, ticketed=True)} AS first_rank,
                {behind(queue)} AS behind
            LIMIT 1
        ) AS timed
        LIMIT 1
    ) AS ranked"""
