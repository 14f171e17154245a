"""Middleware, and whether a setting comes from the handler or the defaults."""

from typing import Any

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler, ResolveError
from arvo_event_handler.delivery import (
    Bulk,
    DeadLetterReason,
    ErrorResponse,
    FailedTry,
    HandlerConfig,
    HandlerDefaults,
    Middleware,
)
from arvo_time import RetryPolicy
from arvo_time.testing import FakeClock

from .broker_owner import SECOND, STEADY, Owner, broker_of
from .stub_handler import ONE, TWO, StubHandler, answering, event


class TestSettings:
    async def test_defaults_apply_where_a_handler_sets_nothing(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        handlers: list[HandlerConfig | IArvoEventHandler] = [
            StubHandler(),
            HandlerConfig(StubHandler(source=TWO), prefetch=7),
        ]
        defaults = HandlerDefaults(prefetch=3)
        async with broker_of(owner, clock, *handlers, defaults=defaults) as broker:
            topics = broker.stats.topics
        assert (topics[ONE].prefetch, topics[TWO].prefetch) == (3, 7)

    @pytest.mark.parametrize(
        ("field", "default", "own"),
        [
            ("prefetch", 3, 4),
            ("timeout", SECOND, 2 * SECOND),
            ("retry", RetryPolicy(retries=1), RetryPolicy(retries=2)),
            ("on_error", lambda failed: "RETRY", lambda failed: "THROW"),
            ("order", "subject", "none"),
            ("dead_letter_reply", True, False),
        ],
    )
    def test_each_field_comes_from_the_handler_or_the_defaults(
        self, field: str, default: object, own: object
    ) -> None:
        given: Any = {field: default}
        defaults = HandlerDefaults(**given)
        given = {field: own}
        said = HandlerConfig(StubHandler(), **given).settled(defaults)
        silent = HandlerConfig(StubHandler()).settled(defaults)
        assert (getattr(said, field), getattr(silent, field)) == (own, default)

    @pytest.mark.parametrize("sides", [{"input": 7}, {"output": [7]}, {"input": ""}])
    def test_middleware_that_is_not_callable_is_refused(self, sides: Any) -> None:
        with pytest.raises(TypeError, match="put middleware must be callable"):
            Middleware(**sides)

    async def test_input_and_output_middleware_are_overridden_separately(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        passed: list[str] = []

        def noting(name: str) -> Middleware:
            return Middleware(
                input=lambda cause: passed.append(f"{name} in"),
                output=lambda output, cause: passed.append(f"{name} out"),
            )

        own = Middleware(input=noting("own").input)
        config = HandlerConfig(answering(), middleware=own)
        defaults = HandlerDefaults(middleware=noting("default"))
        async with broker_of(owner, clock, config, defaults=defaults) as broker:
            await broker.publish(event("e1"))
        assert passed == ["own in", "default out"]


class TestMiddleware:
    async def test_middleware_is_called_in_order_and_changes_events(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def first(cause: ArvoEvent) -> ArvoEvent:
            return cause.model_copy(update={"data": {"notes": ["first"]}})

        def second(cause: ArvoEvent) -> ArvoEvent:
            notes = [*cause.data["notes"], "second"]
            return cause.model_copy(update={"data": {"notes": notes}})

        seen: list[object] = []

        async def act(cause: ArvoEvent) -> list[ArvoEvent]:
            seen.append(cause.data["notes"])
            return []

        config = HandlerConfig(StubHandler(act), middleware=Middleware(input=[first, second]))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert seen == [["first", "second"]]

    async def test_input_middleware_that_fails_is_a_failed_try(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        tried: list[str] = []

        def enter(cause: ArvoEvent) -> None:
            tried.append(cause.id)
            if len(tried) == 1:
                raise ConnectionError("no")

        handler = answering()
        config = HandlerConfig(
            handler, middleware=Middleware(input=enter), retry=RetryPolicy(backoff=STEADY)
        )
        async with broker_of(owner, clock, config) as broker:
            assert await clock.run_until_complete(broker.resolve(event("e1"))) is not None
        assert (tried, handler.tried) == (["e1", "e1"], ["e1"])

    @pytest.mark.parametrize("response", list(ErrorResponse))
    async def test_outputs_of_failing_output_middleware_become_dead_letters(
        self, owner: Owner, clock: FakeClock, response: ErrorResponse
    ) -> None:
        reported: list[str] = []

        def on_error(failed: FailedTry) -> ErrorResponse:
            reported.append(failed.event.id)
            return response

        def leave(output: ArvoEvent, cause: ArvoEvent) -> None:
            raise ConnectionError("no")

        handler = answering(2)
        config = HandlerConfig(handler, middleware=Middleware(output=leave), on_error=on_error)
        async with broker_of(owner, clock, config) as broker:
            with pytest.raises(ResolveError):
                await broker.resolve(event("e1"))
        assert reported == ["e1"]
        assert handler.tried == ["e1"]
        lost = DeadLetterReason.OUTPUT_MIDDLEWARE
        assert owner.reasons == [("e1>0", lost), ("e1>1", lost)]
        thrown = response is ErrorResponse.THROW
        assert [id for id, _ in owner.errors] == ["e1"] * thrown + ["e1>0", "e1>1"]

    async def test_bulk_middleware_that_fails_half_way_loses_no_output(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        def clear(outputs: list[ArvoEvent], cause: ArvoEvent) -> None:
            outputs.clear()
            raise ConnectionError("no")

        config = HandlerConfig(answering(), middleware=Middleware(output=Bulk(clear)))
        async with broker_of(owner, clock, config) as broker:
            await broker.publish(event("e1"))
        assert [id for id, _ in owner.reasons] == ["e1>0"]

    async def test_bulk_middleware_gets_all_outputs_in_one_call(
        self, owner: Owner, clock: FakeClock
    ) -> None:
        async def newest(outputs: list[ArvoEvent], cause: ArvoEvent) -> list[ArvoEvent]:
            return outputs[-1:]

        config = HandlerConfig(answering(3), middleware=Middleware(output=Bulk(newest)))
        async with broker_of(owner, clock, config) as broker:
            answer = await broker.resolve(event("e1"))
        assert answer is not None
        assert answer.id == "e1>2"
        assert owner.unclaimed == []
