"""The doctor's event on the bus. It needs the Redis client, which the CLI alone does not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from exporter.programs.cli.doctor.endpoint import UnusableAnswer
from exporter.redislink.connecting import connect
from exporter.redislink.errors import REDIS_ERRORS, explain
from exporter.redislink.url import parse_redis_url

EVENT = {"type": "aurora_doctor", "source_node": "aurora-cli", "data": {}}
"""Of a type that registries ignore."""


def publish(url: str, channel: str) -> int:
    """How many got it; UnusableAnswer says why it could not be published, Invalid what is wrong with the URL."""
    return asyncio.run(_publish(url, channel))


async def _publish(url: str, channel: str) -> int:
    redis_url = parse_redis_url(url)
    client: Any = connect(redis_url)
    try:
        return int(await client.publish(channel, json.dumps(EVENT)))
    except REDIS_ERRORS as error:
        raise UnusableAnswer(explain(error, redis_url)) from None
    finally:
        await client.aclose()
