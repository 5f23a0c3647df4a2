"""The queue under fire: real processes, faults by a seed, and a client's own log to hold the record against."""
