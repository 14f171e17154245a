"""Spans, metrics and trace context of executions, on the real OpenTelemetry SDK and without it."""

import asyncio
from typing import Any

import pytest
from opentelemetry import trace

from arvo_core import ArvoEvent, ArvoEventFactory
from arvo_core.telemetry import TraceHeaders, trace_context
from arvo_event_handler import (
    ArvoEventHandler,
    Complete,
    ContractViolation,
    Emit,
    ExecutionViolation,
    HandlerInput,
    IArvoEventHandler,
    Step,
)
from arvo_time.testing import MetricRecorder, SpanRecorder

from .shop import (
    APP,
    ORDER,
    RESERVE,
    RESERVE_V1,
    RESERVED,
    AnyCall,
    Reserve,
    Reserved,
    order,
    reserve_contract,
    reserved,
    start,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


def service(function: Any = None) -> ArvoEventHandler:
    async def reserve(call: HandlerInput[Reserve]) -> Emit:
        return Emit(RESERVED, Reserved(price=1))

    return ArvoEventHandler(contract=reserve_contract, handler={"1.0.0": function or reserve})


def request(**changes: Any) -> ArvoEvent:
    event = ArvoEventFactory(reserve_contract.version(RESERVE_V1)).accepts(
        source=APP, data=Reserve(item="tea")
    )
    return event.model_copy(update=changes)


CASES: list[tuple[IArvoEventHandler, ArvoEvent]] = [
    (service(), request(traceparent=TRACEPARENT, tracestate="a=b")),
    (order(), start().model_copy(update={"traceparent": TRACEPARENT, "tracestate": "a=b"})),
]
BOTH = pytest.mark.parametrize(("handler", "event"), CASES, ids=["service", "workflow"])


def again(event: ArvoEvent, name: str) -> ArvoEvent:
    """Make the event a new one, as workflows remember those they have seen."""
    return (
        start().model_copy(
            update={"traceparent": event.traceparent, "tracestate": event.tracestate}
        )
        if event.type == ORDER
        else event.model_copy(update={"id": name})
    )


class TestSpan:
    @pytest.mark.parametrize(
        ("handler", "event", "name", "kinds", "uri"),
        [
            (
                service(),
                request(accesscontrol="role:clerk"),
                "Handler<#/shop/stock/reserve>@<com.stock.reserve>",
                ("handler.simple", "CHAIN"),
                "#/shop/stock/reserve",
            ),
            (
                order(),
                start(),
                "Resumable<#/shop/order>@<arvo.orc.shop.order>",
                ("handler.orchestrator.imperative", "CHAIN"),
                "#/shop/order",
            ),
        ],
        ids=["service", "workflow"],
    )
    async def test_one_per_execution(
        self,
        handler: IArvoEventHandler,
        event: ArvoEvent,
        name: str,
        kinds: tuple[str, str],
        uri: str,
    ) -> None:
        with SpanRecorder() as spans:
            [output] = await handler.execute(event)
        [span] = spans.spans
        assert (span.name, span.kind, span.status) == (name, "PRODUCER", "UNSET")
        assert (
            span.attributes["arvo.span.kind"],
            span.attributes["openinference.span.kind"],
        ) == kinds
        assert span.attributes["arvo.contract.uri"] == uri
        assert span.attributes["arvo.contract.version"] == "1.0.0"
        assert span.attributes["to_process.0.cloudevents.event_id"] == event.id
        assert span.attributes["emittables.0.cloudevents.event_id"] == output.id
        assert "role" not in str(span.attributes)

    @BOTH
    async def test_it_continues_the_events_trace(
        self, handler: IArvoEventHandler, event: ArvoEvent
    ) -> None:
        with SpanRecorder() as spans:
            [output] = await handler.execute(again(event, "continues"))
        [span] = spans.spans
        assert (span.trace_id, span.parent_id) == (TRACE, SPAN)
        assert output.traceparent == span.traceparent
        assert output.tracestate == "a=b"

    @BOTH
    async def test_without_one_it_continues_the_current_span(
        self, handler: IArvoEventHandler, event: ArvoEvent
    ) -> None:
        new = again(event, "current").model_copy(update={"traceparent": None, "tracestate": None})
        with SpanRecorder() as spans, trace.get_tracer("app").start_as_current_span("app"):
            [output] = await handler.execute(new)
        span, app = spans.spans
        assert (span.trace_id, span.parent_id) == (app.trace_id, app.span_id)
        assert output.traceparent == span.traceparent

    @BOTH
    async def test_a_parent_that_is_given_comes_first(
        self, handler: IArvoEventHandler, event: ArvoEvent
    ) -> None:
        parent = trace_context(TraceHeaders(TRACEPARENT.replace("4bf9", "aaaa"), None))
        with SpanRecorder() as spans:
            await handler.execute(again(event, "given"), parent=parent)
        assert spans.spans[0].trace_id == TRACE.replace("4bf9", "aaaa")

    async def test_user_code_runs_within_it(self) -> None:
        async def reserve(call: HandlerInput[Reserve]) -> Emit:
            call.span.set_attribute("mine", 1)
            with trace.get_tracer("app").start_as_current_span("inner"):
                return Emit(RESERVED, Reserved(price=1))

        with SpanRecorder() as spans:
            await service(reserve).execute(request())
        inner, outer = spans.spans
        assert inner.parent_id == outer.span_id
        assert outer.attributes["mine"] == 1

    async def test_workflows_get_it_too(self) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            call.span.set_attribute("mine", type(call).__name__)
            return Step(services=[Emit(RESERVE, {"item": "a"})])

        handler = order(flow)
        with SpanRecorder() as spans:
            [asked] = await handler.execute(start())
            await handler.execute(reserved(asked))
        assert [span.attributes["mine"] for span in spans.spans] == ["Start", "Reply"]

    async def test_a_reply_continues_the_trace_of_its_request(self) -> None:
        workflow, stock = order(), service()
        with SpanRecorder() as spans:
            [asked] = await workflow.execute(start())
            [answer] = await stock.execute(asked)
            [done] = await workflow.execute(answer)
        assert len({span.trace_id for span in spans.spans}) == 1
        assert done.traceparent == spans.spans[-1].traceparent
        assert spans.tree().splitlines() == [
            "Resumable<#/shop/order>@<arvo.orc.shop.order>",
            "  Handler<#/shop/stock/reserve>@<com.stock.reserve>",
            "    Resumable<#/shop/order>@<evt.stock.reserve.success>",
        ]


class TestFailures:
    @pytest.mark.parametrize("stateful", [True, False])
    async def test_an_exception_that_became_data_marks_the_span(self, stateful: bool) -> None:
        async def fail(call: Any) -> Any:
            raise LookupError("sold out")

        handler: IArvoEventHandler = order(fail) if stateful else service(fail)
        with SpanRecorder() as spans:
            [error] = await handler.execute(start() if stateful else request())
        [span] = spans.spans
        assert (span.status, span.status_description) == ("ERROR", "sold out")
        assert span.events[0].attributes["exception.type"] == "LookupError"
        assert error.traceparent == span.traceparent

    async def test_a_violation_marks_it_too(self) -> None:
        with SpanRecorder() as spans, pytest.raises(ContractViolation):
            await service().execute(request(data={}))
        [span] = spans.spans
        assert span.status == "ERROR"
        assert "ContractViolation" in str(span.events[0].attributes["exception.type"])

    async def test_a_missing_dataschema_is_warned_of(self) -> None:
        with SpanRecorder() as spans:
            await service().execute(request(dataschema=None))
        [event] = spans.spans[0].events
        assert event.name == "warning"
        assert "taken as the latest version" in str(event.attributes["message"])


class TestIntegersThatTypeScriptRounds:
    """JavaScript's numbers are doubles: beyond 2**53 an integer arrives changed."""

    LARGE = 2**53 + 1

    def answering(self, data: dict[str, Any], **options: Any) -> ArvoEventHandler:
        async def reserve(call: HandlerInput[Reserve]) -> Emit:
            return Emit("evt.any.thing", data, dataschema="#/any/1.0.0", **options)

        return service(reserve)

    async def warnings(self, handler: ArvoEventHandler) -> list[str]:
        with SpanRecorder() as spans:
            await handler.execute(request())
        return [str(event.attributes["message"]) for event in spans.spans[0].events]

    @pytest.mark.parametrize(
        ("data", "place"),
        [
            ({"id": LARGE}, "data.id"),
            ({"id": -LARGE}, "data.id"),
            ({"few": 1, "orders": [{"id": 1}, {"id": LARGE}]}, "data.orders.1.id"),
            ({"texts": {"a": "b"}, "ids": [[1], [2, LARGE]]}, "data.ids.1.1"),
        ],
        ids=str,
    )
    async def test_they_are_warned_of_with_their_path(
        self, data: dict[str, Any], place: str
    ) -> None:
        [warning] = await self.warnings(self.answering(data))
        assert f"of type 'evt.any.thing': {place} is an integer beyond 2**53" in warning
        assert str(self.LARGE) not in warning

    async def test_extensions_and_execution_units_too(self) -> None:
        [warning] = await self.warnings(self.answering({}, extensions={"offset": self.LARGE}))
        assert ": offset is an integer" in warning
        [warning] = await self.warnings(self.answering({}, executionunits=self.LARGE))
        assert ": executionunits is an integer" in warning

    @pytest.mark.parametrize(
        ("data", "options"),
        [
            ({"k" * 2_000_000: LARGE}, {}),
            ({"\U0001f600" * 500_000: [{"x" * 500_000: LARGE}]}, {}),
            ({"id": LARGE}, {"id": "i" * 131_072}),
            ({"k" * 9_000: LARGE}, {"id": "\u20ac" * 131_072}),
            ({}, {"extensions": {"e" * 100_000: LARGE}}),
        ],
        ids=["name", "names", "id", "name and id", "extension"],
    )
    async def test_a_warning_about_a_large_integer_is_short(
        self, data: dict[str, Any], options: dict[str, Any]
    ) -> None:
        [warning] = await self.warnings(self.answering(data, **options))
        assert len(warning.encode("utf-8")) <= 4 * 1024
        assert warning.startswith("event '")
        assert warning.endswith(
            "is an integer beyond 2**53, which TypeScript rounds; send it as a string"
        )

    async def test_other_warnings_are_short_too(self) -> None:
        with SpanRecorder() as spans:
            await service().execute(request(id="i" * 131_072, dataschema=None))
        [event] = spans.spans[0].events
        message = str(event.attributes["message"])
        assert len(message) <= 4 * 1024
        assert message.endswith("taken as the latest version")

    async def test_an_exact_integer_does_not_warn(self) -> None:
        data = {"id": 2**53, "negative": -(2**53), "yes": True, "float": 1e300, "text": "9" * 20}
        assert await self.warnings(self.answering(data)) == []

    async def test_nothing_is_looked_at_without_an_sdk(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("arvo_event_handler._telemetry.large_integer", None)
        [event] = await self.answering({"id": self.LARGE}).execute(request())
        assert event.data == {"id": self.LARGE}


class TestWithoutAnSdk:
    @BOTH
    async def test_the_incoming_trace_is_passed_on(
        self, handler: IArvoEventHandler, event: ArvoEvent
    ) -> None:
        [output] = await handler.execute(again(event, "carried"))
        assert (output.traceparent, output.tracestate) == (TRACEPARENT, "a=b")

    async def test_an_invalid_trace_is_passed_on_too(self) -> None:
        with MetricRecorder():
            [measured] = await service().execute(request(traceparent="theirs"))
        [output] = await service().execute(request(traceparent="theirs"))
        assert (measured.traceparent, output.traceparent) == ("theirs", "theirs")

    async def test_without_a_trace_none_is_sent(self) -> None:
        [output] = await service().execute(request())
        assert (output.traceparent, output.tracestate) == (None, None)

    @BOTH
    async def test_the_trace_is_passed_on_while_only_metrics_are_recorded(
        self, handler: IArvoEventHandler, event: ArvoEvent
    ) -> None:
        with MetricRecorder():
            [output] = await handler.execute(again(event, "metrics"))
        assert (output.traceparent, output.tracestate) == (TRACEPARENT, "a=b")


class TestMetrics:
    async def test_executions_are_counted_and_measured(self) -> None:
        async def refuse(call: HandlerInput[Reserve]) -> Emit:
            raise ExecutionViolation("not now")

        with MetricRecorder() as metrics:
            await service().execute(request())
            await service().execute(request())
            with pytest.raises(ExecutionViolation):
                await service(refuse).execute(request())
        ok = {"arvo.source": RESERVE, "arvo.outcome": "ok"}
        violation = {"arvo.source": RESERVE, "arvo.outcome": "violation"}
        assert metrics.find(name="arvo.executions", attributes=ok).value == 2
        assert metrics.find(name="arvo.executions", attributes=violation).value == 1
        duration = metrics.find(name="arvo.execution.duration", attributes=ok)
        assert (duration.count, duration.unit) == (2, "ms")

    @pytest.mark.parametrize("stateful", [True, False])
    async def test_an_exception_that_became_data_is_a_failure(self, stateful: bool) -> None:
        async def fail(call: Any) -> Any:
            raise LookupError("sold out")

        handler: IArvoEventHandler = order(fail) if stateful else service(fail)
        with MetricRecorder() as metrics:
            await handler.execute(start() if stateful else request())
        failure = {"arvo.source": handler.source, "arvo.outcome": "failure"}
        assert metrics.find(name="arvo.executions", attributes=failure).value == 1

    async def test_a_cancelled_execution_is_not_an_error(self) -> None:
        reached = asyncio.Event()

        async def hang(call: HandlerInput[Reserve]) -> None:
            reached.set()
            await asyncio.get_running_loop().create_future()

        with MetricRecorder() as metrics:
            task = asyncio.create_task(service(hang).execute(request()))
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        cancelled = {"arvo.source": RESERVE, "arvo.outcome": "cancelled"}
        assert metrics.find(name="arvo.executions", attributes=cancelled).value == 1

    async def test_an_exception_other_than_a_violation_counts_as_an_error(self) -> None:
        async def halt(call: HandlerInput[Reserve]) -> Emit:
            raise KeyboardInterrupt

        with MetricRecorder() as metrics:
            execution = service(halt).execute(request())
            with pytest.raises(KeyboardInterrupt):
                execution.send(None)
        assert metrics.find(attributes={"arvo.outcome": "error"}, name="arvo.executions").value == 1

    async def test_workflows_say_how_long_their_lock_took(self) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            return Step(output=Complete({"total": 1}))

        with MetricRecorder() as metrics:
            await order(flow).execute(start())
        wait = metrics.find(name="arvo.lock.wait")
        assert (wait.count, wait.attributes) == (1, {"arvo.source": ORDER})
