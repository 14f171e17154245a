"""Sends requests to a transport, and waits for their answers."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from arvo_cli._errors import CommandError, one_line
from arvo_cli._input._request import Request
from arvo_core import ArvoEvent
from arvo_event_handler import UnroutableError
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_transport import (
    IAnswerBox,
    IAnsweringTransport,
    IEventTransport,
    TopicFullError,
    TopicSpec,
    TransportError,
    UnknownTopicError,
    address_of,
)

from ._answer_boxes import AnswerBoxes
from ._outbox import Outbox

_BETWEEN_FAILURES: Final = timedelta(seconds=1)
_BETWEEN_LOOKS: Final = timedelta(milliseconds=250)


class NotSentError(Exception):
    """A request was not stored: nobody handles it, or it is refused. The others may be sent."""


class Sender:
    """Sends requests. Use it as an async context manager.

    A request that has its answer already, as of an earlier call of the command, is not sent again.

    Args:
        transport: Carries the requests and keeps the answers.
        wait: How long to wait for each answer, and for a topic that is full; None not to wait for
            answers, and for a full topic as long as it takes.
        say: Shows that a topic is full.
        clock: For that.
    """

    def __init__(
        self,
        transport: IEventTransport,
        *,
        wait: timedelta | None,
        say: Callable[[str], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._transport = transport
        self._wait = wait
        self._clock = clock
        self._outbox = Outbox(transport, patience=wait, say=say, clock=clock)
        self._boxes: AnswerBoxes | None = None
        if wait is not None:
            if not isinstance(transport, IAnsweringTransport):
                raise CommandError("this transport keeps no answers; send without --wait")
            self._boxes = AnswerBoxes(transport)
        self._declared: set[str] = set()
        self._topics: frozenset[str] = frozenset()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._outbox)
        if self._boxes is not None:
            await self._stack.enter_async_context(self._boxes)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    async def check_topics(self) -> None:
        """Check that there is somebody to send to; wait for the first worker as for an answer.

        Raises:
            CommandError: No worker has ever declared a topic.
            TransportError: The engine failed.
        """
        latest = self._clock.monotonic() + (self._wait or timedelta(0)).total_seconds()
        while not (topics := await self._handled_topics()):
            if self._clock.monotonic() >= latest:
                raise CommandError(
                    "no worker has served this transport yet, so nobody would take the events; "
                    "start one first: arvo worker TARGET --transport URL --memory URL"
                )
            await self._clock.sleep(_BETWEEN_LOOKS)
        self._topics = topics

    async def _handled_topics(self) -> frozenset[str]:
        topics = await self._transport.topics()
        return frozenset(each.name for each in topics if each.kind != "answers")

    async def send(self, request: Request) -> ArvoEvent | None:
        """Store a request and wait for its answer; None when there is none in time, or no waiting.

        Raises:
            CommandError: The answers of too many addresses are to be waited for.
            NotSentError: It cannot be stored.
            TransportError: The engine failed.
        """
        box = await self._box_of(request.answer_to)
        try:
            answer = await self._outbox.publish(request.event, box=box)
        except UnroutableError as error:
            unknown = UnknownTopicError(address_of(request.event))
            raise NotSentError(one_line(unknown)) from error
        except (TopicFullError, ValueError) as error:
            raise NotSentError(one_line(error)) from error
        if answer is not None or box is None or self._wait is None:
            return answer
        return await self._answer_from(box, request.event.id, wait=self._wait)

    async def _box_of(self, address: str) -> IAnswerBox | None:
        """Declare where the answer goes, and return its box if the answer is waited for."""
        if address in self._topics:
            raise NotSentError(
                f"the answer would go to {address!r}, which workers handle; give the event "
                "another source"
            )
        if address not in self._declared:
            try:
                await self._transport.declare([TopicSpec(address, kind="answers")])
            except ValueError as error:
                raise NotSentError(
                    f"its answer cannot be kept at {address!r:.100}: {one_line(error)}"
                ) from error
            self._declared.add(address)
        return None if self._boxes is None else await self._boxes.of(address)

    async def _answer_from(
        self, box: IAnswerBox, request: str, *, wait: timedelta
    ) -> ArvoEvent | None:
        try:
            async with self._clock.timeout(wait):
                while True:
                    try:
                        return await box.wait(request)
                    except TransportError as error:
                        if not error.retryable:
                            raise
                    await self._clock.sleep(_BETWEEN_FAILURES)
        except TimeoutError:
            return None
