"""The transport on Redis."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler.delivery import DeadLetterReason, Order, StoredLetter
from arvo_redis import RedisClient, Server, TransportName
from arvo_time import SYSTEM_CLOCK, BackendError, Clock
from arvo_time.settings import check_count, check_duration
from arvo_transport import (
    IAnswerBox,
    IAnsweringTransport,
    IEventInbox,
    TopicDepth,
    TopicSpec,
    TopicState,
    TransportCapabilities,
    TransportClosedError,
)

from ._answers import AnswerBox
from ._bells import Bells
from ._failure import transport_error
from ._keys import Keys
from ._letters import Letters
from ._namespace import Namespace
from ._outgoing import DUPLICATES_DROPPED, MAX_EVENT_BYTES
from ._publisher import Publisher
from ._registry import Registry
from ._scripts import DEPTH, PEEK, SERVER_STATE
from ._shard import entry_order
from ._topic_inbox import TopicInbox

_LEASE: Final = timedelta(seconds=15)
_DAY: Final = timedelta(hours=24)
_SECOND: Final = timedelta(seconds=1)
_MS: Final = timedelta(milliseconds=1)


class RedisTransport(IAnsweringTransport):
    """Events between processes, in streams of Redis 6.2 or later or Valkey.

    Get one from `connect`, or pass a client of your own. An output and the acknowledgement of what
    caused it are one step on the server. One server, which may have replicas, and not a Cluster, which
    cannot do that. What a crash or a failover can lose is said in the README.

    Args:
        client: You close it yourself. A client of redis-py must return bytes and must not repeat calls
            by itself. A `Server` of arvo_redis may have other users.
        namespace: What the names of all keys begin with: 1 to 100 letters, digits and `-`. Namespaces
            share nothing.
        partitions: How many parts a topic with an order gets that this transport lays out, 1 to
            10,000: so many workers at most handle its events at one time.
        lease: How long a worker keeps its events without a word, by the server's clock; 1 s to a day.
            It says a word each third of that. Others wait so long after a worker has crashed.
        answers_kept: How long answers stay in their boxes.
        clock: For pauses, and for when a letter was written.

    Raises:
        TypeError: A setting is of another type.
        ValueError: A setting is out of its bounds, or the client serves a Cluster, has
            `decode_responses=True` or an `encoding` other than UTF-8, reads from replicas, or repeats
            calls by itself.
    """

    def __init__(
        self,
        client: RedisClient | Server,
        *,
        namespace: str = "arvo",
        partitions: int = 64,
        lease: timedelta = _LEASE,
        answers_kept: timedelta = _DAY,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_count(partitions, name="partitions", least=1, most=10_000)
        check_duration(lease, name="lease", most=_DAY)
        if lease < _SECOND:
            raise ValueError(f"lease must be at least 1 s, got {lease}")
        check_duration(answers_kept, name="answers_kept", above_zero=True)
        keys = Keys(namespace)
        server = Server(client, clock=clock, translated=transport_error)
        if server.clustered:
            raise _cluster_refused()
        self._server = server
        self._own_client: Server | None = None
        self._bells = Bells(server)
        self._namespace = Namespace(
            server=server,
            keys=keys,
            registry=Registry(
                server=server, keys=keys, partitions=partitions, lease=lease, clock=clock
            ),
            bells=self._bells,
            clock=clock,
            lease=lease,
            answers_kept=answers_kept,
        )
        self._publisher = Publisher(self._namespace)
        self._letters = Letters(self._namespace)
        self._inboxes: set[TopicInbox] = set()
        self._boxes: set[AnswerBox] = set()
        self._is_ready = self._closed = False

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        *,
        namespace: str = "arvo",
        partitions: int = 64,
        lease: timedelta = _LEASE,
        answers_kept: timedelta = _DAY,
        transport: TransportName = "auto",
        max_connections: int = 50,
        socket_timeout: timedelta = timedelta(seconds=5),
        clock: Clock = SYSTEM_CLOCK,
    ) -> AsyncIterator[Self]:
        """Connect to a server for as long as the block lasts.

        Args:
            url: `redis://host:port/db`, `rediss://` for TLS, or `unix://path?db=0`, with any other
                option that redis-py reads from a URL. For a Sentinel, make redis-py's client and pass
                it to `RedisTransport`.
            namespace: See the class.
            partitions: See the class.
            lease: See the class.
            answers_kept: See the class.
            transport: What carries calls. `multiplexed` and `auto`: one connection for all tasks,
                which sends what is settled within one turn of the event loop together. `redis-py`: its
                client with a pool of connections.
            max_connections: How many calls redis-py may have pending, 1 to 10,000; others wait.
            socket_timeout: How long to wait for a connection, and how long a server may send nothing
                while an answer is outstanding; through redis-py, how long a call may take. Above 0, at
                most a day.
            clock: See the class.

        Raises:
            ValueError: As for the class; or redis-py does not understand the URL, or the URL leads to
                a Sentinel, to a Cluster, or to a server whose `maxmemory-policy` evicts keys.
            TypeError: A setting is of another type.
            TransportError: The server cannot be reached or, `retryable` being false, refuses the login.
        """
        async with AsyncExitStack() as stack:
            connecting = Server.connect(
                url,
                transport="auto" if transport == "multiplexed" else transport,
                max_connections=max_connections,
                socket_timeout=socket_timeout,
                clock=clock,
            )
            try:
                client = await stack.enter_async_context(connecting)
            except BackendError as error:
                raise transport_error(error) from error.__cause__
            opened = cls(
                client,
                namespace=namespace,
                partitions=partitions,
                lease=lease,
                answers_kept=answers_kept,
                clock=clock,
            )
            opened._own_client = client
            stack.push_async_callback(opened.aclose)
            await opened._ready()
            yield opened

    @property
    @override
    def capabilities(self) -> TransportCapabilities:
        return TransportCapabilities(
            ordered=True,
            atomic_settle=True,
            longest_delay=timedelta.max,
            duplicates_dropped_for=DUPLICATES_DROPPED,
            counts_returns=False,
            max_event_bytes=MAX_EVENT_BYTES,
            keeps_answers=self._namespace.answers_kept,
        )

    @override
    async def declare(self, topics: Iterable[TopicSpec]) -> None:
        await self._ready()
        await self._namespace.registry.declare(topics)

    @override
    async def publish(
        self, events: Sequence[ArvoEvent], *, at: datetime | None = None, again: str = ""
    ) -> None:
        await self._ready()
        await self._publisher.publish(events, at=at, again=again)

    @override
    @asynccontextmanager
    async def inbox(self, topic: TopicSpec, *, prefetch: int) -> AsyncIterator[IEventInbox]:
        check_count(prefetch, name="prefetch", least=1)
        if topic.kind == "answers":
            raise ValueError(f"topic {topic.name!r} is for answers, which wait in its answer box")
        await self._ready()
        opened = TopicInbox(self._namespace, topic=topic.name)
        await opened.start()
        self._inboxes.add(opened)
        try:
            yield opened
        finally:
            await opened.aclose()
            self._inboxes.discard(opened)

    @override
    async def topics(self) -> Sequence[TopicState]:
        await self._ready()
        return tuple((await self._namespace.registry.layout(fresh=True)).topics.values())

    @override
    async def pause(self, topic: str, *, paused: bool) -> None:
        await self._ready()
        await self._namespace.registry.pause(topic, paused=paused)

    @override
    async def relayout(
        self, topic: str, *, order: Order | None = None, partitions: int | None = None
    ) -> None:
        if partitions is not None:
            check_count(partitions, name="partitions", least=1, most=10_000)
        await self._ready()
        await self._namespace.registry.relayout(topic, order=order, partitions=partitions)

    @override
    async def peek(self, topic: str, *, limit: int = 20) -> Sequence[ArvoEvent]:
        check_count(limit, name="limit", least=1)
        await self._ready()
        state = await self._namespace.registry.state(topic)
        entries: list[Any] = await self._server.run(PEEK, *self._place(state), limit)
        entries.sort(key=lambda entry: entry_order(entry[0].decode()))
        found: list[ArvoEvent] = []
        for _, words in entries:
            fields = dict(zip(words[::2], words[1::2], strict=True))
            try:
                found.append(ArvoEvent.from_json(fields[b"event"].decode()))
            except (KeyError, ValueError):
                continue  # it becomes a letter when a worker comes to it
        return found[:limit]

    @override
    async def depth(self, topic: str) -> TopicDepth:
        await self._ready()
        state = await self._namespace.registry.state(topic)
        waiting, in_hand, delayed, dead, workers, oldest = await self._server.run(
            DEPTH, *self._place(state), self._namespace.lease // _MS
        )
        since = int(oldest.partition(b"-")[0]) if oldest else None
        return TopicDepth(
            waiting=waiting,
            in_hand=in_hand,
            delayed=delayed,
            dead=dead,
            oldest=None if since is None else datetime.fromtimestamp(since / 1000, UTC),
            workers=workers,
        )

    @override
    async def dead_letters(
        self,
        topic: str | None = None,
        *,
        reason: DeadLetterReason | str | None = None,
        type: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Sequence[StoredLetter]:
        await self._ready()
        return await self._letters.list(topic, reason=reason, type=type, after=after, limit=limit)

    @override
    async def redrive(self, keys: Iterable[str], *, force: bool = False) -> int:
        await self._ready()
        return await self._letters.redrive(keys, force=force)

    @override
    async def drop(self, keys: Iterable[str]) -> int:
        await self._ready()
        return await self._letters.drop(keys)

    @override
    @asynccontextmanager
    async def answers(self, address: str) -> AsyncIterator[IAnswerBox]:
        await self._ready()
        box = AnswerBox(self._namespace, address=address)
        self._boxes.add(box)
        try:
            async with box.open():
                yield box
        finally:
            self._boxes.discard(box)

    @override
    async def ping(self) -> None:
        if self._closed:
            raise TransportClosedError
        await self._server.ask("PING")

    @override
    async def aclose(self) -> None:
        self._closed = True
        for box in tuple(self._boxes):
            box.close()
        for inbox in tuple(self._inboxes):
            await inbox.aclose()
        await self._bells.aclose()
        await self._server.aclose()
        if self._own_client is not None:
            await self._own_client.aclose()

    # ------------------------------------------------------------------------

    async def _ready(self) -> None:
        """Refuse a server that would lose events.

        Raises:
            ValueError: It is a node of a Cluster, or evicts keys.
        """
        if self._closed:
            raise TransportClosedError
        if self._is_ready:
            return
        policy, mode = await self._server.run(SERVER_STATE, self._namespace.keys.registry)
        if mode == b"cluster":
            raise _cluster_refused()
        if policy not in (b"", b"noeviction"):
            raise ValueError(
                f"the server's maxmemory-policy is {policy.decode()}, which deletes events when "
                "memory runs out; set it to noeviction: CONFIG SET maxmemory-policy noeviction"
            )
        self._is_ready = True

    def _place(self, state: TopicState) -> tuple[str, str, int, int]:
        keys = self._namespace.keys
        ordered = int(state.order != "none")
        return keys.partition(state.name, 0), keys.partitions(state.name), state.partitions, ordered


def _cluster_refused() -> ValueError:
    return ValueError(
        "a Redis Cluster cannot store an output and the acknowledgement of what caused it in one "
        "step, as they are on different nodes; use one server, with replicas and a Sentinel if it must "
        "not be missed"
    )
