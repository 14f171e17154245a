"""Handlers are spans in the traces of their events, and what workers do is counted and measured."""

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from opentelemetry import trace

from arvo_event_store import (
    PER_EVENT,
    Batch,
    Event,
    EventConsumer,
    Expect,
    MemoryEventStore,
    NewEvent,
    Postpone,
    Projection,
    Reaction,
    ReactionCall,
    ReactionWorker,
    Reject,
)
from arvo_time import RetryPolicy
from arvo_time.testing import FakeClock, MetricRecorder, SpanRecorder

from .faulty_store import FaultyStore

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECOND = timedelta(seconds=1)
EARLY = FakeClock().now() + timedelta(seconds=32)
"""Until when an event that is early is postponed; a lease ends 30 seconds after it began."""


def counted(metrics: MetricRecorder, name: str) -> dict[str, float]:
    """Return what an instrument of workers shows, by reaction and outcome."""
    return {
        " ".join(
            str(each.attributes[key])
            for key in ("arvo.reaction", "arvo.outcome")
            if key in each.attributes
        ): each.value
        for each in metrics.find_all(
            name=f"arvo.event_store.{name}", attributes={"arvo.group": "g"}
        )
    }


def worker_of(store: Any, clock: FakeClock, *reactions: EventConsumer) -> ReactionWorker:
    return ReactionWorker(store, group="g", reactions=reactions, clock=clock, random=Random(1))


async def refuse(call: ReactionCall[Event]) -> None:
    match call.event.version:
        case 1 if call.data.data == "early" and call.deadline < EARLY:
            raise Postpone(until=EARLY)
        case 2:
            raise Reject("not two")
        case _:
            await call.append(f"out-{call.event.stream}", [NewEvent("Emitted", 1)])


async def project(_: Batch[Event]) -> None: ...


REFUSE = Reaction(name="refuse", on=[Event], handler=refuse, stream_prefix="a")
PROJECT = Projection(name="project", on=[Event], handler=project, stream_prefix="a")


async def test_a_handler_is_a_span_that_is_linked_to_its_events(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    metas: list[dict[str, Any]] = [{"traceparent": TRACE}, {"traceparent": 7}, {}]
    await store.append("b", [NewEvent("Added", 1, meta=meta) for meta in metas])
    await store.append("b", [NewEvent("Added", 1, meta={"traceparent": "nonsense"})])

    async def fail(call: ReactionCall[Event]) -> None:
        if call.event.version == 2:
            raise Reject("not two")

    reactions = [
        Reaction(name="fail", on=[Event], handler=fail),
        Projection(name="project", on=[Event], handler=project),
    ]
    with SpanRecorder() as recorder:
        await clock.run_until_complete(worker_of(store, clock, *reactions).settle())
        spans = sorted(recorder.spans, key=lambda span: span.name)
    assert [span.name for span in spans] == [*["handle fail"] * 3, "handle project"]
    assert all(span.kind == "CONSUMER" for span in spans)
    assert [span.attributes["arvo.events"] for span in spans] == [1, 1, 1, 4]
    # The trace of one event goes on; several events may be of several traces.
    assert [span.trace_id == TRACE.split("-")[1] for span in spans] == [True, False, False, False]
    failed = spans[2]
    assert (failed.status, failed.status_description) == ("ERROR", "not two")
    assert failed.attributes["error.type"] == "Reject"


async def test_a_trace_goes_through_a_chain_of_reactions(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    async def pass_on(call: ReactionCall[Event]) -> None:
        assert trace.get_current_span().is_recording()
        if call.event.stream != "a..":
            await call.append(f"{call.event.stream}.", [NewEvent("Added", 1)])

    until = Reaction(name="pass", on=[Event], handler=pass_on, stream_prefix="a")
    with SpanRecorder() as recorder:
        with trace.get_tracer("shop").start_as_current_span("order"):
            await store.append("a", [NewEvent("Added", 1)])
        await clock.run_until_complete(worker_of(store, clock, until).settle())
        spans = {span.span_id: span for span in recorder.spans}
    order = next(span for span in spans.values() if span.name == "order")
    carried = [str(event.meta["traceparent"]).split("-") async for event in store.read_all()]
    assert {each[1] for each in carried} == {order.trace_id}
    # Each event names the span that made it, and that span is a child of the one before.
    assert [spans[each[2]].name for each in carried] == ["order", "handle pass", "handle pass"]
    assert spans[carried[1][2]].parent_id == order.span_id
    assert spans[carried[2][2]].parent_id == carried[1][2]


async def test_a_trace_is_passed_on_without_an_sdk(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    await store.append("a", [NewEvent("Added", 1, meta={"traceparent": TRACE})])
    await store.append("a2", [NewEvent("Added", 1)])
    await clock.run_until_complete(worker_of(store, clock, REFUSE).settle())
    found = {
        stream: [event.meta async for event in store.read(f"out-{stream}")]
        for stream in ("a", "a2")
    }
    assert found == {"a": [{"traceparent": TRACE}], "a2": [{}]}


async def test_what_a_worker_did_is_counted(store: MemoryEventStore, clock: FakeClock) -> None:
    await store.append("a", [NewEvent("Added", data) for data in ("on time", "early", "", "")])

    async def fail(_: ReactionCall[Event]) -> None:
        raise OSError("no")

    def nowhere(event: Event) -> str:
        raise LookupError(event.name)

    reactions = [
        REFUSE,
        PROJECT,
        Reaction(
            name="fail",
            on=[Event],
            handler=fail,
            to=PER_EVENT,
            start=3,
            stream_prefix="a",
            retry=RetryPolicy(retries=1),
        ),
        Reaction(name="lost", on=[Event], handler=refuse, to=nowhere, start=3),
    ]
    with MetricRecorder() as metrics:
        async with worker_of(store, clock, *reactions):
            await clock.run_for(40 * SECOND)
        assert counted(metrics, "reaction.handled") == {"refuse": 2, "project": 4}
        assert counted(metrics, "reaction.postponed") == {"refuse": 1}
        assert counted(metrics, "reaction.failures") == {
            "refuse blocked": 1,
            "fail retried": 1,
            "fail parked": 1,
            "lost parked": 3,  # those that were emitted too
        }
        assert counted(metrics, "reaction.leases") == {"refuse": 2, "project": 1, "fail": 2}
        calls = {
            (each.attributes["arvo.reaction"], each.attributes["arvo.outcome"]): each.count
            for each in metrics.find_all(name="arvo.event_store.reaction.duration")
        }
        assert calls == {
            ("refuse", "ok"): 2,
            ("refuse", "error"): 2,
            ("project", "ok"): 1,
            ("fail", "error"): 2,
        }
        looks = counted(metrics, "worker.looks")
        assert looks["work"] >= 3
        assert looks["idle"] >= 3
        # What was emitted is an append too, though no call of `append` stored it.
        stored = metrics.find(
            name="arvo.event_store.appends", attributes={"arvo.outcome": "stored"}
        )
        assert stored.value == 2


async def test_a_conflict_of_what_is_staged_is_counted(
    store: MemoryEventStore, clock: FakeClock
) -> None:
    async def write(call: ReactionCall[Event]) -> None:
        await call.append("x", [NewEvent("Added", 1)], expect=Expect.NO_STREAM if tried else 7)
        tried.append(call.attempt)

    tried: list[int] = []
    await store.append("a", [NewEvent("Added", 1)])
    writing = Reaction(name="write", on=[Event], handler=write, stream_prefix="a")
    with MetricRecorder() as metrics:
        await clock.run_until_complete(worker_of(store, clock, writing).settle())
        outcomes = {
            each.attributes["arvo.outcome"]: each.value
            for each in metrics.find_all(name="arvo.event_store.appends")
        }
    assert tried == [1, 1]
    assert outcomes == {"stored": 1, "conflict": 1}


async def test_a_lost_lease_is_counted(store: MemoryEventStore, clock: FakeClock) -> None:
    async def wait(_: ReactionCall[Event]) -> None:
        if not resets:
            resets.append(None)
            await store.reset("g", reaction="wait", after=0)
            await clock.sleep(timedelta(hours=1))

    resets: list[None] = []

    await store.append("a", [NewEvent("Added", 1)])
    with MetricRecorder() as metrics:
        async with worker_of(store, clock, Reaction(name="wait", on=[Event], handler=wait)):
            await clock.run_for(11 * SECOND)  # a third of the lease, after which it is missed
            assert counted(metrics, "reaction.lost_leases") == {"wait": 1}
            measured = [
                each.attributes["arvo.outcome"]
                for each in metrics.find_all(name="arvo.event_store.reaction.duration")
            ]
            assert sorted(map(str, measured)) == ["cancelled", "ok"]


async def test_how_far_reactions_are_behind_is_looked_up_while_somebody_measures(
    store: MemoryEventStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lags = 0
    lag = store.lag

    async def counting(group: str) -> Any:
        nonlocal lags
        lags += 1
        return await lag(group)

    await store.append("a", [NewEvent("Added", number) for number in range(4)])
    failing = FaultyStore(store, clock=clock, random=Random(1), odds=0)
    monkeypatch.setattr(store, "lag", counting)
    with MetricRecorder() as metrics:
        async with worker_of(failing, clock, REFUSE, PROJECT):
            await clock.run_for(20 * SECOND)
            assert lags == 0  # nobody measures
            assert metrics.metrics is not None  # asks, and so begins
            await clock.run_for(5 * SECOND)
            assert lags == 1
            shown = {
                name: counted(metrics, f"reaction.{name}")
                for name in ("unscanned", "pending", "asleep", "blocked", "parked", "oldest")
            }
            assert shown == {
                "unscanned": {"refuse": 0, "project": 0},
                "pending": {"refuse": 0, "project": 0},
                "asleep": {"refuse": 0, "project": 0},
                "blocked": {"refuse": 1, "project": 0},
                "parked": {"refuse": 0, "project": 0},
                "oldest": {"refuse": 25, "project": 0},
            }
            assert counted(metrics, "worker.troubles") == {"": 0}
            failing.fail_for(timedelta(hours=1))
            await clock.run_for(10 * SECOND)
            assert counted(metrics, "worker.troubles")[""] >= 2
            assert counted(metrics, "reaction.blocked") == {}  # nothing is known any more
        assert counted(metrics, "worker.troubles") == {}  # a worker that has ended says nothing
