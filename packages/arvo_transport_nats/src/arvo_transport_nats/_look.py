"""How many events a topic has, and which, without taking any."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api, errors as js_errors

from arvo_core import ArvoEvent, InvalidEventError
from arvo_time import Clock
from arvo_transport import TopicDepth

from ._failure import DRIVER_ERRORS, transport_error
from ._layout import Layout, consumers_of
from ._letters import Letters
from ._messages import read
from ._names import DELAYED, Names
from ._presence import Presence
from ._registry import Topic

_LAST_WORD: Final = timedelta(milliseconds=50)
_LATE_WORD: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """What the server knows of a topic."""

    unhandled: int
    """How many events are not acknowledged."""
    handed_out: int
    """How many of them were handed out, those included that were given back and not pulled since."""
    delayed: int
    """How many more wait for their time."""


class Look:
    """Looks at topics.

    The server says how many events are not acknowledged. What was given back counts there as handed
    out until somebody pulls it; so the workers are asked what they have in hand.

    Args:
        client: The connection.
        js: JetStream.
        names: What is called how.
        layout: The streams.
        letters: The dead letters.
        clock: What waits for workers to answer.
    """

    def __init__(
        self,
        client: Client,
        js: JetStreamContext,
        *,
        names: Names,
        layout: Layout,
        letters: Letters,
        clock: Clock,
    ) -> None:
        self._client = client
        self._js = js
        self._names = names
        self._layout = layout
        self._letters = letters
        self._clock = clock

    async def depth(self, topic: Topic) -> TopicDepth:
        """Return how many events a topic has."""
        dead = await self._letters.count(topic.name)
        if topic.kind == "answers":
            return TopicDepth(waiting=0, in_hand=0, delayed=0, dead=dead, oldest=None, workers=0)
        counts = await self._counts(topic)
        workers = await self._workers(topic, handed_out=counts.handed_out)
        in_hand = {place for worker in workers for place in worker.in_hand}
        unhandled, delayed = counts.unhandled, counts.delayed
        waiting = max(0, unhandled - len(in_hand))
        first = await self._walk(topic, in_hand, limit=1) if waiting else []
        return TopicDepth(
            waiting=waiting,
            in_hand=min(unhandled, len(in_hand)),
            delayed=delayed,
            dead=dead,
            oldest=first[0].time if first else None,
            workers=sum(worker.receiving for worker in workers),
        )

    async def peek(self, topic: Topic, *, limit: int) -> list[ArvoEvent]:
        """Return the oldest events that wait."""
        if topic.kind == "answers":
            return []
        counts = await self._counts(topic)
        workers = await self._workers(topic, handed_out=counts.handed_out)
        in_hand = {place for worker in workers for place in worker.in_hand}
        events: list[ArvoEvent] = []
        for each in await self._walk(topic, in_hand, limit=limit):
            with suppress(InvalidEventError):  # whoever gets it makes it a letter
                events.append(read(each.data or b""))
        return events

    async def _counts(self, topic: Topic) -> "_Counts":
        try:
            consumers = await consumers_of(self._js, self._layout.stream_of(topic))
        except js_errors.NotFoundError:  # declared, and not yet laid out
            return _Counts(unhandled=0, handed_out=0, delayed=0)
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing=f"look into the topic {topic.name!r}") from error
        unhandled = handed_out = delayed = 0
        for each in consumers:
            unacknowledged = each.num_ack_pending or 0
            count = (each.num_pending or 0) + unacknowledged
            if each.name == DELAYED:
                delayed += count
            else:
                unhandled += count
                handed_out += unacknowledged
        return _Counts(unhandled=unhandled, handed_out=handed_out, delayed=delayed)

    async def _walk(
        self, topic: Topic, in_hand: Collection[int], *, limit: int
    ) -> Sequence[api.RawStreamMsg]:
        """Return the oldest messages that nobody has in hand."""
        found: list[api.RawStreamMsg] = []
        place = 0
        # Those that wait for their time have a subject of their own, and may be many.
        part = 0 if topic.order == "none" else "*"
        while len(found) < limit:
            try:
                message = await self._js.get_msg(
                    self._layout.stream_of(topic),
                    seq=place + 1,
                    subject=self._names.subject(topic.name, part),
                    next=True,
                )
            except js_errors.NotFoundError:
                break
            except DRIVER_ERRORS as error:
                raise transport_error(error, doing=f"look into {topic.name!r}") from error
            place = message.seq or 0
            if place not in in_hand:
                found.append(message)
        return found

    async def _workers(self, topic: Topic, *, handed_out: int) -> Sequence[Presence]:
        """Return what the inboxes of a topic say that answer at once.

        Who has something in hand is waited for a little longer, as it may be busy.

        Args:
            topic: The topic.
            handed_out: How many events they were given together, if none was given back.
        """
        said: list[Presence] = []
        nobody, all_told = asyncio.Event(), asyncio.Event()

        async def hear(answer: Msg) -> None:
            if answer.data:
                with suppress(ValueError):  # of a newer version of Arvo
                    said.append(Presence.from_json(answer.data))
            else:  # the server knows of none
                nobody.set()
            told = sum(len(each.in_hand) + each.arrived for each in said)
            if not answer.data or told >= handed_out:
                all_told.set()

        reply = self._client.new_inbox()
        try:
            replies = await self._client.subscribe(reply, cb=hear)
            await self._client.publish(self._names.presence(topic.name), b"", reply)
            with suppress(TimeoutError):
                async with self._clock.timeout(_LAST_WORD):
                    await nobody.wait()
            if handed_out:
                with suppress(TimeoutError):
                    async with self._clock.timeout(_LATE_WORD):
                        await all_told.wait()
            await replies.unsubscribe()
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing=f"ask for the workers of {topic.name!r}") from error
        return said
