"""What stateless handlers emit for later waits in the transport."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import ConfigViolation
from arvo_event_handler.delivery import HandlerConfig
from arvo_transport import InMemoryTransport, TopicSpec, TransportError

from .bench import ONE, SECOND, TWO, Bench, HookedTransport, StubHandler, emitted, event, ids

MINUTE = timedelta(minutes=1)


def sender(bench: Bench, *targets: str, **attributes: Any) -> StubHandler:
    """Return a handler that sends an event to each target a minute after it was asked."""

    async def act(cause: ArvoEvent) -> list[ArvoEvent]:
        at = (bench.clock.now() + MINUTE).isoformat()
        return [
            emitted(cause, index, to=target, extensions={"notbefore": at}, **attributes)
            for index, target in enumerate(targets)
        ]

    return StubHandler(act)


async def test_it_arrives_at_its_time_whoever_works_then(bench: Bench) -> None:
    receiver = StubHandler(source=TWO)
    async with bench.worker(sender(bench, TWO)):
        await bench.declare(TopicSpec(TWO))
        await bench.send(event("a"))
        assert (await bench.depth()).in_hand == 0
        assert (await bench.depth(TWO)).delayed == 1
    async with bench.worker(receiver):
        await bench.clock.run_for(MINUTE - SECOND)
        assert receiver.tried == []
        await bench.clock.run_for(SECOND)
        assert receiver.tried == ["a>0"]
    assert bench.letters == []


async def test_what_leaves_now_does_not_wait_for_it(bench: Bench) -> None:
    receiver = StubHandler(source=TWO)

    async def act(cause: ArvoEvent) -> list[ArvoEvent]:
        at = (bench.clock.now() + MINUTE).isoformat()
        late = emitted(cause, 0, to=TWO, extensions={"notbefore": at})
        return [late, emitted(cause, 1, to=TWO)]

    async with bench.worker(StubHandler(act), receiver):
        await bench.send(event("a"))
        assert receiver.tried == ["a>1"]
        await bench.clock.run_for(MINUTE)
        assert receiver.tried == ["a>1", "a>0"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (TopicSpec(TWO, order="subject"), "the topic 'com.svc.two' has the order 'subject'"),
        (TopicSpec(TWO, order="key"), "has the order 'key'"),
        (TopicSpec("com.app.two", kind="answers"), "is the address of a client"),
    ],
    ids=["subject", "key", "client"],
)
async def test_one_to_a_topic_that_takes_none_ends_the_event_and_no_other_leaves(
    bench: Bench, target: TopicSpec, said: str
) -> None:
    await bench.declare(TopicSpec("com.svc.three"), target)
    async with bench.worker(sender(bench, "com.svc.three", target.name)):
        await bench.send(event("a"))
        [letter] = bench.letters
        assert ids([letter]) == [("a", "not retryable")]
        assert isinstance(letter.error, ConfigViolation)
        assert said in str(letter.error)
        assert (await bench.depth("com.svc.three")).delayed == 0


async def test_one_that_is_laid_out_anew_at_that_moment_is_refused_too(bench: Bench) -> None:
    class Moving(InMemoryTransport):
        @override
        async def publish(
            self, events: Sequence[ArvoEvent], *, at: datetime | None = None, again: str = ""
        ) -> None:
            await self.relayout(TWO, order="subject")
            await super().publish(events, at=at, again=again)

    await bench.declare(TopicSpec(TWO))
    async with bench.worker(sender(bench, TWO), transport=Moving(bench.engine)):
        await bench.send(event("a"))
        assert ids(bench.letters) == [("a", "not retryable")]
        assert "takes no events for later" in str(bench.letters[0].error)


async def test_one_to_nobody_is_a_letter_of_its_own(bench: Bench) -> None:
    async with bench.worker(sender(bench, TWO)):
        await bench.send(event("a"))
        assert ids(bench.letters) == [("a>0", "unroutable")]
        assert (await bench.depth()).in_hand == 0


async def test_one_that_is_too_large_is_a_letter_of_its_own(bench: Bench) -> None:
    await bench.declare(TopicSpec(TWO))
    async with bench.worker(sender(bench, TWO, data={"text": "x" * 100_000})):
        await bench.send(event("a"))
        assert ids(bench.letters) == [("a>0", "too large")]
        assert (await bench.depth(TWO)).delayed == 0


async def test_an_engine_that_fails_meanwhile_is_asked_again(bench: Bench) -> None:
    class Failing(InMemoryTransport):
        failures = 2

        @override
        async def publish(
            self, events: Sequence[ArvoEvent], *, at: datetime | None = None, again: str = ""
        ) -> None:
            if self.failures:
                self.failures -= 1
                raise TransportError("away", retryable=True, outcome="failed")
            await super().publish(events, at=at, again=again)

    receiver = StubHandler(source=TWO)
    transport = Failing(bench.engine)
    async with bench.worker(sender(bench, TWO), receiver, transport=transport):
        await bench.send(event("a"))
        await bench.clock.run_for(2 * MINUTE)
        assert (transport.failures, receiver.tried) == (0, ["a>0"])


async def test_a_worker_that_dies_before_it_settles_leaves_it_stored(bench: Bench) -> None:
    """The event is handled again, and the engine drops the repetition."""

    async def die(*_: Any) -> None:
        raise TransportError("the worker dies here", retryable=False, outcome="failed")

    receiver = StubHandler(source=TWO)
    handler = sender(bench, TWO)
    dying = HookedTransport(bench.engine, settle=die)
    async with bench.worker(handler, receiver, transport=dying):
        await bench.send(event("a"))
        assert (await bench.depth(TWO)).delayed == 1
        dying.settle = None
        await bench.clock.run_for(2 * MINUTE)
    assert handler.tried == ["a", "a"]
    assert receiver.tried == ["a>0"]


async def test_a_redriven_event_has_outputs_that_are_delivered(bench: Bench) -> None:
    """They have the name of the copy on purpose that led to them."""
    receiver = StubHandler(source=TWO)
    async with bench.worker(sender(bench, TWO), receiver):
        await bench.send(event("a"))
        await bench.send(event("a"), again="redrive:1")
        await bench.clock.run_for(MINUTE)
    assert receiver.tried == ["a>0", "a>0"]


async def test_a_workflow_that_says_so_itself_is_not_delayed(bench: Bench) -> None:
    """Its step is stored; its own delays are in its record."""

    async def act(cause: ArvoEvent) -> list[ArvoEvent]:
        return [emitted(cause, to=TWO, extensions={"notbefore": "2030-01-01T00:00:00Z"})]

    receiver = StubHandler(source=TWO)
    async with bench.worker(HandlerConfig(StubHandler(act, stateful=True)), receiver):
        await bench.send(event("a", to=ONE))
        assert receiver.tried == ["a>0"]
