"""`arvo topics`: looks at topics, and changes how they are handled."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from arvo_cli._backend._transport_url import transport_for
from arvo_cli._errors import INTERRUPTED, CommandError, one_line
from arvo_cli._terminal._listing import Column, age, print_json, print_table
from arvo_cli._terminal._output import short_data
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._report import counted
from arvo_core import ArvoEvent
from arvo_event_handler.delivery import Order
from arvo_time import SYSTEM_CLOCK
from arvo_transport import TopicDepth, TopicState

_COLUMNS = (
    Column("topic", whole=True),
    Column("order"),
    Column("parts", justify="right"),
    Column("state"),
    Column("waiting", justify="right"),
    Column("in hand", justify="right"),
    Column("delayed", justify="right"),
    Column("dead", justify="right"),
    Column("oldest", justify="right"),
    Column("workers", justify="right"),
)
_EVENT_COLUMNS = (Column("id"), Column("type"), Column("source"), Column("time"), Column("data"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicsListJob:
    """The options of `arvo topics list`."""

    transport: str
    """The transport's URL."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print the topics, and return the exit status.

        Raises:
            CommandError: The transport cannot be used.
        """
        found = asyncio.run(self._found())
        if self.json:
            print_json(_as_json(state, depth) for state, depth in found)
        elif found:
            now = SYSTEM_CLOCK.now()
            print_table(_COLUMNS, (_as_row(state, depth, now=now) for state, depth in found))
        else:
            say("no topics: no worker has served this transport yet")
        return 0

    async def _found(self) -> list[tuple[TopicState, TopicDepth]]:
        async with transport_for("use", self.transport) as transport:
            states = [each for each in await transport.topics() if each.kind != "answers"]
            return [(state, await transport.depth(state.name)) for state in states]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeekJob:
    """The options of `arvo topics peek`."""

    transport: str
    """The transport's URL."""
    topic: str
    """The topic."""
    limit: int
    """How many events at most."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Print the oldest waiting events, and return the exit status.

        Raises:
            CommandError: The transport cannot be used, or there is no such topic.
        """
        events = asyncio.run(self._found())
        if self.json:
            for event in events:
                sys.stdout.write(f"{event.to_json()}\n")
        elif events:
            print_table(_EVENT_COLUMNS, map(_event_row, events))
        else:
            say(f"no event waits in {self.topic}")
        return 0

    async def _found(self) -> Sequence[ArvoEvent]:
        async with transport_for("use", self.transport) as transport:
            return await transport.peek(self.topic, limit=self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseJob:
    """The options of `arvo topics pause` and `arvo topics resume`."""

    transport: str
    """The transport's URL."""
    topic: str
    """The topic."""
    paused: bool
    """Whether its events are to wait."""

    def run(self) -> int:
        """Pause or resume the topic, and return the exit status.

        Raises:
            CommandError: The transport cannot be used, or there is no such topic.
        """
        asyncio.run(self._change())
        if self.paused:
            say(f"{self.topic} is paused: its events wait, and what is in hand is finished")
        else:
            say(f"{self.topic} is resumed; all workers follow within 5 seconds")
        return 0

    async def _change(self) -> None:
        async with transport_for("use", self.transport) as transport:
            await transport.pause(self.topic, paused=self.paused)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayoutJob:
    """The options of `arvo topics relayout`."""

    transport: str
    """The transport's URL."""
    topic: str
    """The topic."""
    order: Order | None
    """Its new order; None for the one it has."""
    partitions: int | None
    """Into how many parts it is to be divided; None for as many as it has."""

    def run(self) -> int:
        """Lay the topic out anew, and return the exit status.

        Raises:
            CommandError: The transport cannot be used, or there is no such topic.
        """
        if self.order is None and self.partitions is None:
            raise CommandError("what is to change? Give --order or --partitions, or both")
        say(f"{self.topic} is paused until nothing of it is in hand, then laid out anew")
        try:
            laid_out = asyncio.run(self._change())
        except KeyboardInterrupt:
            say("interrupted; run it again to go on")
            return INTERRUPTED
        parts = f", {counted(laid_out.partitions, 'partition')}" if laid_out.partitions > 1 else ""
        say(f"{self.topic} has the order {laid_out.order}{parts}")
        return 0

    async def _change(self) -> TopicState:
        async with transport_for("use", self.transport) as transport:
            try:
                await transport.relayout(self.topic, order=self.order, partitions=self.partitions)
            except ValueError as error:
                raise CommandError(one_line(error)) from error
            return next(each for each in await transport.topics() if each.name == self.topic)


def _as_json(state: TopicState, depth: TopicDepth) -> dict[str, object]:
    return {
        "topic": state.name,
        "order": state.order,
        "partitions": state.partitions,
        "kind": state.kind,
        "owned": state.owned,
        "paused": state.paused,
        "max_waiting": state.max_waiting,
        "waiting": depth.waiting,
        "in_hand": depth.in_hand,
        "delayed": depth.delayed,
        "dead": depth.dead,
        "oldest": depth.oldest,
        "workers": depth.workers,
        "declared_by": state.declared_by,
        "declared_at": state.declared_at,
    }


def _as_row(state: TopicState, depth: TopicDepth, *, now: datetime) -> tuple[str, ...]:
    return (
        state.name,
        state.order,
        str(state.partitions),
        "paused" if state.paused else "open" if state.owned else "asked for",
        str(depth.waiting),
        str(depth.in_hand),
        str(depth.delayed),
        str(depth.dead),
        "-" if depth.oldest is None else age(now - depth.oldest),
        str(depth.workers),
    )


def _event_row(event: ArvoEvent) -> tuple[str, ...]:
    return (event.id, event.type, event.source, event.time, short_data(event))
