"""Stores messages in streams, many at a time, and waits until the server has them."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import count

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import errors as js_errors

from arvo_time import Backoff, Clock

from ._failure import DRIVER_ERRORS, outcome_of, retryable, transport_error
from ._messages import Message

_TRIES = 3
_BACKOFF = Backoff(initial=timedelta(milliseconds=100), maximum=timedelta(seconds=2))


class Publisher:
    """Publishes to streams.

    All messages of one call are on their way before the first is confirmed, and those of one turn
    of the event loop go to the server together.

    Args:
        client: The connection.
        clock: What waits between tries.
        timeout: How long a confirmation may take.
    """

    def __init__(self, client: Client, *, clock: Clock, timeout: timedelta) -> None:
        self._client = client
        self._clock = clock
        self._timeout = timeout
        self._inbox = client.new_inbox()
        self._numbers = count()
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._replies: Subscription | None = None

    async def open(self) -> None:
        """Listen for confirmations."""
        self._replies = await self._client.subscribe(f"{self._inbox}.*", cb=self._confirm)

    async def close(self) -> None:
        """Stop listening."""
        replies, self._replies = self._replies, None
        if replies is not None and not self._client.is_closed:
            await replies.unsubscribe()

    async def publish(self, messages: Sequence[Message]) -> list[int | Exception]:
        """Store messages in order; return the place of each in its stream, or why it has none.

        What may succeed soon is tried up to three times. The streams drop what comes twice.
        """
        results: list[int | Exception] = list(await self._send(messages))
        for tried in range(_TRIES - 1):
            failed = [at for at, result in enumerate(results) if _worth_a_try(result)]
            if not failed:
                break
            await self._clock.sleep(_BACKOFF.delay(tried))
            for at, again in zip(
                failed, await self._send([messages[at] for at in failed]), strict=True
            ):
                results[at] = again
        return results

    async def store(self, messages: Sequence[Message], *, doing: str) -> list[int]:
        """Do the same, and raise the error of the first that was not stored.

        Raises:
            TransportError: One was not stored.
        """
        places: list[int] = []
        for result in await self.publish(messages):
            if isinstance(result, Exception):
                raise transport_error(result, doing=doing)
            places.append(result)
        return places

    async def _send(self, messages: Sequence[Message]) -> list[int | Exception]:
        loop = asyncio.get_running_loop()
        names: list[str] = []
        sent: list[asyncio.Future[int] | Exception] = []
        try:
            for message in messages:
                name = f"{self._inbox}.{next(self._numbers)}"
                names.append(name)
                waiting: asyncio.Future[int] = loop.create_future()
                self._waiting[name] = waiting
                try:
                    await self._client.publish(
                        message.subject, message.payload, name, dict(message.headers)
                    )
                except DRIVER_ERRORS as error:
                    sent.append(error)
                else:
                    sent.append(waiting)
            return await self._confirmed(sent)
        finally:
            for name in names:
                waiting = self._waiting.pop(name)
                if not waiting.cancel() and not waiting.cancelled():
                    waiting.exception()  # a caller that was cancelled does not ask for it

    async def _confirmed(
        self, sent: Sequence[asyncio.Future[int] | Exception]
    ) -> list[int | Exception]:
        waiting = [each for each in sent if isinstance(each, asyncio.Future)]
        if waiting:
            with suppress(TimeoutError):
                async with self._clock.timeout(self._timeout):
                    await asyncio.wait(waiting)
        return [each if isinstance(each, Exception) else _result(each) for each in sent]

    async def _confirm(self, reply: Msg) -> None:
        waiting = self._waiting.get(reply.subject)
        if waiting is None or waiting.done():
            return
        if not reply.data:  # nobody listens on that subject
            waiting.set_exception(js_errors.NoStreamResponseError())
            return
        answer = json.loads(reply.data)
        if "error" in answer:
            waiting.set_exception(_api_error(answer["error"]))
        else:
            waiting.set_result(answer["seq"])


def _result(waiting: "asyncio.Future[int]") -> int | Exception:
    if not waiting.done() or waiting.cancelled():
        return TimeoutError("no confirmation came in time")
    error = waiting.exception()
    if error is None:
        return waiting.result()
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


def _api_error(members: dict[str, object]) -> Exception:
    try:
        js_errors.APIError.from_error(members)
    except js_errors.APIError as error:
        return error
    raise AssertionError("from_error raises")


def _worth_a_try(result: int | Exception) -> bool:
    if isinstance(result, js_errors.NoStreamResponseError | js_errors.BadRequestError):
        return False  # whoever knows the topics looks again
    return isinstance(result, Exception) and (outcome_of(result) == "unknown" or retryable(result))
