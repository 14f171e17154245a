"""Calls about reactions that a store refuses, and what it takes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from arvo_event_store import Append, NewEvent, SchemaError, StoreFailure, Wake
from arvo_event_store.postgres import PostgresEventStore
from arvo_event_store.stores import Blocked, Done, Finish, Lease, ReactionSpec, ScanPage

from .conftest import Connect

ME = UUID(int=1)
TTL = timedelta(minutes=1)
SPEC = ReactionSpec(name="r", events=None)
LEASE = Lease(
    group="g",
    reaction="r",
    key="a",
    reads=SPEC.to,
    stream="a",
    at=0,
    mark=1,
    token=1,
    attempt=1,
    failed=0,
    lagging=True,
    events=(),
    upto=1,
)
PAGE = ScanPage(
    group="g",
    owner=ME,
    tokens={"r": 1},
    scanned={"r": 0},
    events=(),
    upto=1,
    complete=True,
    others=False,
)


async def listed(found: AsyncIterator[object]) -> None:
    async for _ in found:
        pass


CALLS: dict[str, Callable[[PostgresEventStore], Awaitable[object]]] = {
    "register": lambda store: store.register("g", [SPEC]),
    "scan": lambda store: store.scan("g", owner=ME, ttl=TTL, reactions=[SPEC], limit=1),
    "mark": lambda store: store.mark(PAGE, [], progress=["r"]),
    "leave": lambda store: store.leave("g", owner=ME),
    "ready": lambda store: store.ready("g", lanes=["l"]),
    "claim": lambda store: store.claim(
        "g",
        owner=ME,
        ttl=TTL,
        reactions=[SPEC],
        lane="l",
        lagging=1,
        leading=1,
        max_events=1,
        max_bytes=1,
    ),
    "extend": lambda store: store.extend([LEASE], ttl=TTL),
    "finish": lambda store: store.finish([Finish(lease=LEASE, at=1, then=Done())]),
    "release": lambda store: store.release([]),
    "targets": lambda store: listed(store.targets("g")),
    "lag": lambda store: store.lag("g"),
    "unblock": lambda store: store.unblock("g", reaction="r"),
    "skip": lambda store: store.skip("g", reaction="r", key="a"),
    "reset": lambda store: store.reset("g", reaction="r", after=0),
    "parked": lambda store: listed(store.parked("g")),
    "replay": lambda store: store.replay("g", []),
    "wait": lambda store: store.wait_for_change(seen=0, at_most=TTL),
}


async def test_a_closed_store_does_nothing_for_reactions(connect_to: Connect) -> None:
    async with connect_to() as store:
        await store.heads(["a"])
    for name, call in CALLS.items():
        with pytest.raises(StoreFailure, match="close") as caught:
            await call(store)
        assert (caught.value.retryable, caught.value.outcome) == (False, "failed"), name


async def test_a_store_without_tables_says_what_to_do(postgres_dsn: str, no_schema: str) -> None:
    async with PostgresEventStore.connect(postgres_dsn, schema=no_schema) as store:
        for name, call in CALLS.items():
            if name in {"release", "wait"}:
                continue
            with pytest.raises(SchemaError, match="migrate"):
                await call(store)


async def test_the_error_of_a_handler_may_be_any_text(store: PostgresEventStore) -> None:
    """What no column holds is replaced."""
    spec = ReactionSpec(name="r", events=None, addressed=True)
    wake = Wake(group="g", reaction="r", lane="default")
    await store.register("g", [spec])
    await store.append_all([Append("a", [NewEvent("Added", 1)], wakes=[wake])])
    (lease,) = await store.claim(
        "g",
        owner=ME,
        ttl=TTL,
        reactions=[spec],
        lane="default",
        lagging=1,
        leading=0,
        max_events=1,
        max_bytes=1,
    )
    blocked = Blocked(error="a\0b\ud800c", position=1, failed=1)
    (finished,) = await store.finish([Finish(lease=lease, at=lease.at, then=blocked)])
    assert finished.error is None
    assert (await anext(store.targets("g"))).error == "a\\0b\\ud800c"
