"""The same requests to a bare view that enqueues with django-rq, while one stock worker works on them."""

from bench.floor.processes import web, worker
from bench.measures import Measure
from bench.submitting import Client, measure_submit

CLIENTS = 50


def measure() -> list[Measure]:
    client = Client("unused", ["/actions"])
    with web() as base_url, worker():
        return measure_submit(base_url, client, [client] * CLIENTS)
