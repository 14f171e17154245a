"""JetStream for callers that may be cancelled."""

import asyncio
from datetime import timedelta
from typing import Any, cast

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext


def jetstream(client: Client, *, reply_timeout: timedelta) -> JetStreamContext:
    """Return JetStream over a connection, whose requests end when their caller is cancelled.

    nats-py waits with `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that
    comes with the reply; the caller would then wait on for what comes next.
    """
    patient = cast(Client, _Requests(client))
    return JetStreamContext(patient, timeout=reply_timeout.total_seconds())


class _Requests:
    """A client whose requests do not forget cancellations."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def request(self, *arguments: Any, **options: Any) -> Msg:
        task = asyncio.current_task()
        before = 0 if task is None else task.cancelling()
        reply = await self._client.request(*arguments, **options)
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
        return reply
