"""Context variables follow an event."""

import asyncio
import gc
import logging
import weakref
from contextvars import ContextVar, copy_context
from datetime import timedelta

import pytest

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import (
    ContractViolation,
    IArvoEventHandler,
)
from arvo_event_handler.delivery import ErrorResponse, FailedTry, HandlerConfig
from arvo_time.testing import FakeClock

from .broker_owner import Gate, Owner, broker_of, workers
from .stub_handler import TWO, StubHandler, emitted, event, failing

REQUEST = ContextVar("REQUEST", default="none")


class TestContext:
    async def test_context_variables_follow_the_event(self, owner: Owner, clock: FakeClock) -> None:
        seen: dict[str, str] = {}

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            seen[cause.id] = REQUEST.get()
            REQUEST.set(f"{REQUEST.get()}, one")
            await asyncio.sleep(0)
            return [emitted(cause, to=TWO)]

        async def then(cause: ArvoEvent) -> list[ArvoEvent]:
            seen[cause.id] = REQUEST.get()
            return []

        handlers: list[HandlerConfig | IArvoEventHandler] = [
            HandlerConfig(StubHandler(act), prefetch=1),
            StubHandler(then, source=TWO),
        ]
        async with broker_of(owner, clock, *handlers) as broker:
            for name in ("a", "b"):
                REQUEST.set(name)
                await broker.publish(event(name))
        assert seen == {"a": "a", "b": "b", "a>0": "a, one", "b>0": "b, one"}

    async def test_tasks_of_a_handler_inherit_the_context(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        seen: list[str] = []

        async def note() -> None:
            seen.append(REQUEST.get())

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            await asyncio.create_task(note())
            return []

        async with broker_of(owner, clock, StubHandler(act)) as broker:
            REQUEST.set("mine")
            await broker.publish(event("e1"))
        assert seen == ["mine"]

    async def test_a_failure_is_reported_in_the_context_of_its_event(
        self, caplog: pytest.LogCaptureFixture, clock: FakeClock
    ) -> None:
        """A worker handles many events; it must not report one in the context of another."""
        said: list[tuple[str, str]] = []

        def note(record: logging.LogRecord) -> bool:
            said.append((REQUEST.get(), record.getMessage()))
            return True

        async def on_error(failed: FailedTry) -> ErrorResponse:
            said.append((REQUEST.get(), failed.event.id))
            return ErrorResponse.SUPPRESS if failed.event.id == "b" else ErrorResponse.THROW

        config = HandlerConfig(failing(9, ConnectionError("no")), prefetch=1, on_error=on_error)
        logger = logging.getLogger("arvo_concurrent")
        logger.addFilter(note)
        try:
            async with ConcurrentEventBroker([config], clock=clock) as broker:
                for name in ("a", "b", "c"):
                    REQUEST.set(name)
                    await broker.publish(event(name))
                REQUEST.set("none")
        finally:
            logger.removeFilter(note)
        # Three calls of `on_error`, one warning, two dead letters.
        assert len(said) == 6
        for request, text in said:
            assert text == request or text.startswith(f"event {request} ")

    async def test_closing_logs_each_event_in_the_context_of_that_event(
        self, clock: FakeClock
    ) -> None:
        said: list[str] = []

        def note(record: logging.LogRecord) -> bool:
            said.append(REQUEST.get())
            return True

        logger = logging.getLogger("arvo_concurrent")
        logger.addFilter(note)
        config = HandlerConfig(StubHandler(Gate().act), prefetch=1)
        try:
            async with ConcurrentEventBroker([config], clock=clock) as broker:
                for name in ("a", "b"):
                    REQUEST.set(name)
                    await broker.publish(event(name))
                await clock.settle()
                REQUEST.set("closing")
                await broker.aclose(grace=timedelta(0))
        finally:
            logger.removeFilter(note)
        assert sorted(said) == ["a", "b"]

    async def test_a_variable_that_a_listener_sets_is_not_seen_by_the_next_try(
        self, clock: FakeClock
    ) -> None:
        seen: list[str] = []

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            seen.append(REQUEST.get())
            if len(seen) < 2:
                raise ConnectionError("no")
            return []

        def on_error(failed: FailedTry) -> ErrorResponse:
            raise KeyError("on_error")

        async def on_broker_error(failed: ArvoEvent, error: Exception) -> None:
            seen.append(REQUEST.get())
            REQUEST.set("the listener's")

        broker = ConcurrentEventBroker(
            [HandlerConfig(StubHandler(act), on_error=on_error)],
            on_broker_error=on_broker_error,
            clock=clock,
        )
        async with broker:
            REQUEST.set("mine")
            await broker.publish(event("e1"))
            await clock.run_until_complete(broker.wait_idle())
        assert seen == ["mine"] * 3

    async def test_each_output_of_an_event_has_a_context_of_its_own(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        seen: list[str] = []

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            return [emitted(cause, index, to=TWO) for index in range(3)]

        async def then(cause: ArvoEvent) -> list[ArvoEvent]:
            seen.append(REQUEST.get())
            REQUEST.set(cause.id)
            await asyncio.sleep(0)
            assert REQUEST.get() == cause.id
            return []

        handlers = [StubHandler(act), StubHandler(then, source=TWO)]
        async with broker_of(owner, clock, *handlers) as broker:
            REQUEST.set("mine")
            await broker.publish(event("e1"))
        assert seen == ["mine"] * 3
        assert owner.letters == []

    async def test_a_worker_keeps_nothing_of_the_event_it_was_started_for(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        class Big:
            pass

        async with broker_of(owner, clock, StubHandler()) as broker:
            held: ContextVar[Big] = ContextVar("held")
            big = Big()
            context = copy_context()
            context.run(held.set, big)
            context.run(broker.publish_nowait, event("e1"))
            await broker.wait_idle()
            assert len(workers()) == 1
            gone = weakref.ref(big)
            del big, context
            gc.collect()
            assert gone() is None

    @pytest.mark.parametrize("fails", [False, True])
    async def test_an_idle_worker_keeps_no_verdict(self, clock: FakeClock, fails: bool) -> None:
        """Neither the outputs of its last event, nor its error."""
        seen: list[weakref.ref[object]] = []

        class RefusedError(ContractViolation):
            pass

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            if fails:
                error = RefusedError("no")
                seen.append(weakref.ref(error))
                raise error
            output = emitted(cause)
            seen.append(weakref.ref(output))
            return [output]

        async with ConcurrentEventBroker([StubHandler(act)], clock=clock) as broker:
            await broker.publish(event("e1"))
            await broker.wait_idle()
            await clock.settle()
            gc.collect()
            assert len(workers()) == 1
            assert [each() for each in seen] == [None]
