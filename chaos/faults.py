"""What may go wrong, and how often in proportion."""

WEIGHTS = {
    "worker killed": 32,
    "worker stopped": 6,
    "job's process killed": 6,
    "scheduler killed": 10,
    "worker paused beyond its lease": 10,
    "scheduler paused beyond its lease": 8,
    "Redis flushed": 15,
    "Redis out of memory": 5,
    "Redis killed": 8,
    "database connections cut": 10,
    "database crashed": 4,
}
