"""What carries hints and news between processes, or within the only one: channel layers, and our own transport."""

from typing import Any

from queueproject.env import Config


def transport(config: Config) -> tuple[dict[str, Any], str]:
    """``CHANNEL_LAYERS``, and the class of the queue's transport, for what ``queue_transport`` names."""
    if config.queue_transport == "memory":
        return {"default": {"BACKEND": "jobs.memory_layer.MemoryLayer"}}, "jobs.memory_transport.MemoryTransport"
    return {"default": _redis_layer(config)}, "jobs.transport.RedisTransport"


def _redis_layer(config: Config) -> dict[str, Any]:
    host = {
        "address": config.redis_url,
        # A subscriber waits for messages without end; redis-py's default of 5 s would cut it off.
        "socket_timeout": None,
        "socket_connect_timeout": config.redis_timeout_seconds,
    }
    return {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [host]}}
