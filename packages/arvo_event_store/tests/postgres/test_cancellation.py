"""A call that is cancelled at any of its awaits has happened or not, and leaves its connection sound."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from arvo_event_store import (
    PER_EVENT,
    Aggregate,
    Append,
    NewEvent,
    Snapshot,
    SnapshotPolicy,
    Wake,
)
from arvo_event_store.postgres import PostgresEventStore
from real_servers import cancelled

from .conftest import Connect

WAKES = [
    Wake(group="g", reaction="r", lane="l"),
    Wake(group="g", reaction="once", lane="l", to=PER_EVENT),
]


@dataclass(frozen=True)
class Added:
    amount: int


def evolve(total: int, event: Added) -> int:
    return total + event.amount


COUNTERS = Aggregate(
    category="a",
    events=[Added],
    initial=int,
    evolve=evolve,
    snapshots=SnapshotPolicy(dump=lambda total: total, load=int, every=1),
)


class Trial:
    """What one call works on: streams and events of its own."""

    def __init__(self, number: int) -> None:
        self.there, self.a, self.b = f"there{number}", f"a-{number}", f"b-{number}"
        self.key = str(number)
        self.batch = [NewEvent("Added", amount, private="x") for amount in range(3)]
        self.known = [NewEvent("Added", amount) for amount in range(3)]
        self.appends = [
            Append(self.a, self.batch[:1], wakes=WAKES),
            Append(self.b, self.batch[1:2], wakes=WAKES),
        ]

    async def read(self, store: PostgresEventStore) -> None:
        async for _ in store.read(self.there):
            pass

    async def read_all(self, store: PostgresEventStore) -> None:
        async for _ in store.read_all():
            pass

    async def act(self, store: PostgresEventStore) -> None:
        await COUNTERS.act(store, self.key, lambda _: [Added(1), Added(2)])

    async def in_transaction(self, store: PostgresEventStore) -> None:
        async with store.transaction() as transaction:
            await transaction.append_all(self.appends)
            await transaction.append(self.a, self.batch[2:])


CALLS: dict[str, Callable[[PostgresEventStore, Trial], Awaitable[object]]] = {
    "append": lambda store, on: store.append(on.a, on.batch),
    "append_all": lambda store, on: store.append_all(on.appends),
    "append_known": lambda store, on: store.append(on.there, on.known),
    "act": lambda store, on: on.act(store),
    "transaction": lambda store, on: on.in_transaction(store),
    "read": lambda store, on: on.read(store),
    "read_all": lambda store, on: on.read_all(store),
    "heads": lambda store, on: store.heads([on.there]),
    "horizon": lambda store, on: store.horizon(),
    "latest_snapshot": lambda store, on: store.latest_snapshot(on.there, kind="k"),
    "save_snapshot": lambda store, on: store.save_snapshot(
        Snapshot(stream=on.there, kind="k", version=0, schema=1, state=1)
    ),
    "close_stream": lambda store, on: store.close_stream(on.there),
    "truncate": lambda store, on: store.truncate(on.there, before=1, snapshot=False),
    "forget": lambda store, on: store.forget(on.there),
    "delete_stream": lambda store, on: store.delete_stream(on.there),
    "migrate": lambda store, on: store.migrate(),
}
# The versions of the streams a and b after the calls that write them.
WHOLE = {"append": [2], "act": [1], "append_all": [0, 0], "transaction": [1, 0]}


async def check_whole(name: str, store: PostgresEventStore, on: Trial, *, ended: bool) -> None:
    """Check what a call has left; the only connection gives each statement its own answer."""
    versions = [head.version for head in (await store.heads([on.a, on.b])).values()]
    whole = WHOLE.get(name, [])
    assert sorted(versions) == sorted(whole) or (not versions and not ended)
    keys = [target.key async for target in store.targets("g", reaction="r")]
    assert [key in keys for key in (on.a, on.b)] == [bool(versions) and len(whole) == 2] * 2
    # Nobody holds the horizon back, or a row.
    last = await store.append("last", [NewEvent("Added", 1)])
    assert await store.horizon() == last.position
    if name == "append":
        assert (await store.append(on.a, on.batch)).version == 2
    if name == "append_known":
        assert (await store.append(on.there, on.known)).version == 2


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_cancelled_at_any_await_is_whole_and_leaves_its_connection_sound(
    name: str, connect_to: Connect
) -> None:
    wait, was_cancelled = 0, True
    async with connect_to(pool_size=1) as store:
        while was_cancelled:
            wait += 1
            on = Trial(wait)
            await store.append(on.there, on.known)
            was_cancelled = await cancelled(CALLS[name](store, on), wait=wait)
            await check_whole(name, store, on, ended=not was_cancelled)
    assert wait > 1, "it was never cancelled"


@pytest.mark.parametrize("name", ["append", "transaction", "read_all"])
async def test_the_first_call_of_a_store_may_be_cancelled_at_any_await(
    name: str, connect_to: Connect
) -> None:
    """It checks the tables, too."""
    wait, was_cancelled = 0, True
    async with connect_to() as other:
        while was_cancelled:
            wait += 1
            on = Trial(wait)
            await other.append(on.there, on.known)
            async with connect_to(pool_size=1) as store:
                was_cancelled = await cancelled(CALLS[name](store, on), wait=wait)
                await check_whole(name, store, on, ended=not was_cancelled)
    assert wait > 3, "it was never cancelled while it checked the tables"


async def test_an_iterator_that_is_left_after_one_event_holds_no_connection(
    connect_to: Connect,
) -> None:
    """It is not even closed."""
    async with connect_to(pool_size=1) as store:
        await store.append("a", [NewEvent("Added", amount) for amount in range(1200)])
        left = [store.read("a") if number % 2 else store.read_all() for number in range(20)]
        for events in left:
            assert (await anext(events)).version == 0
        assert (await store.append("a", [NewEvent("Added", 1)])).version == 1200
        assert [event.version async for event in left[0]] == [*range(1, 1200)]
