import asyncio
import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from arvo_time.telemetry import tracing_enabled
from arvo_time.testing import SpanRecorder

# Kept by this module before anything is recorded, as instrumented libraries do.
TRACER = trace.get_tracer("kept")


def work(name: str) -> None:
    with trace.get_tracer("tests").start_as_current_span(name):
        pass


def work_and_fail() -> None:
    with trace.get_tracer("tests").start_as_current_span("order"):
        raise LookupError("no card")


class TestInstallation:
    def test_telemetry_is_on_within_the_block_only(self) -> None:
        assert not tracing_enabled()
        with SpanRecorder():
            assert tracing_enabled()
        assert not tracing_enabled()
        assert isinstance(trace.get_tracer_provider(), ProxyTracerProvider)

    def test_telemetry_is_off_again_after_an_exception(self) -> None:
        recorder = SpanRecorder()
        with pytest.raises(LookupError), recorder:
            work_and_fail()
        assert not tracing_enabled()
        assert recorder.find(name="order").status == "ERROR"

    def test_a_provider_of_the_application_comes_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = NoOpTracerProvider()
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", own)
        with SpanRecorder() as recorder:
            work("recorded")
        assert trace.get_tracer_provider() is own
        assert [span.name for span in recorder.spans] == ["recorded"]

    def test_a_tracer_kept_by_a_module_is_recorded_in_every_block(self) -> None:
        for _ in range(2):
            with SpanRecorder() as recorder, TRACER.start_as_current_span("kept"):
                pass
            assert [span.name for span in recorder.spans] == ["kept"]

    def test_what_ends_outside_a_block_is_not_recorded(self) -> None:
        with SpanRecorder() as recorder:
            late = TRACER.start_span("late")
        late.end()
        work("after")
        with SpanRecorder() as second:
            pass
        assert recorder.spans == second.spans == ()

    def test_without_the_sdk_the_command_is_named(self) -> None:
        code = (
            "import sys; sys.modules['opentelemetry.sdk'] = None\n"
            "from arvo_time.testing import MetricRecorder, SpanRecorder\n"
            "for recorder in SpanRecorder(), MetricRecorder():\n"
            "    try: recorder.__enter__()\n"
            "    except ModuleNotFoundError as error: print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.count("pip install 'arvo-time[testing]'") == 2


class TestSpans:
    def test_they_stay_readable_after_the_block(self) -> None:
        with SpanRecorder() as recorder:
            work("first")
            assert [span.name for span in recorder.spans] == ["first"]
            work("second")
        assert [span.name for span in recorder.spans] == ["first", "second"]

    def test_blocks_one_after_another_do_not_mix(self) -> None:
        with SpanRecorder() as first:
            work("first")
        with SpanRecorder() as second:
            work("second")
        assert [span.name for span in first.spans] == ["first"]
        assert [span.name for span in second.spans] == ["second"]

    def test_a_nested_block_has_its_own_and_the_outer_has_all(self) -> None:
        with SpanRecorder() as outer:
            work("before")
            with SpanRecorder() as inner:
                work("within")
            work("after")
        assert [span.name for span in inner.spans] == ["within"]
        assert [span.name for span in outer.spans] == ["before", "within", "after"]

    def test_one_recorder_may_be_used_again(self) -> None:
        recorder = SpanRecorder()
        for name in ("first", "second"):
            with recorder:
                work(name)
            assert [span.name for span in recorder.spans] == [name]

    def test_the_attributes_of_a_span_are_recorded(self) -> None:
        with SpanRecorder() as recorder:
            span = TRACER.start_span("order", kind=SpanKind.PRODUCER)
            span.set_attributes({"items": 2, "skus": ["a", "b"]})
            span.add_event("warning", {"message": "short stock"})
            span.set_status(StatusCode.ERROR, "declined")
            span.end()
        order = recorder.find(name="order")
        assert order.attributes == {"items": 2, "skus": ("a", "b")}
        assert [(event.name, event.attributes) for event in order.events] == [
            ("warning", {"message": "short stock"})
        ]
        assert (order.kind, order.status, order.status_description) == (
            "PRODUCER",
            "ERROR",
            "declined",
        )

    def test_an_exception_is_an_event_of_its_span(self) -> None:
        with SpanRecorder() as recorder, pytest.raises(LookupError):
            work_and_fail()
        [event] = recorder.find(name="order").events
        assert event.name == "exception"
        assert event.attributes["exception.message"] == "no card"

    def test_the_traceparent_is_the_one_that_goes_out(self) -> None:
        carried: dict[str, str] = {}
        with SpanRecorder() as recorder, TRACER.start_as_current_span("order"):
            TraceContextTextMapPropagator().inject(carried)
        assert recorder.find(name="order").traceparent == carried["traceparent"]


class TestRelations:
    async def record(self) -> SpanRecorder:
        async def payment(card: str) -> None:
            with TRACER.start_as_current_span("payment") as span:
                span.set_attributes({"card": card, "amount": 3})
                work(f"charge {card}")

        with SpanRecorder() as recorder:
            with TRACER.start_as_current_span("order"):
                await asyncio.gather(payment("a"), payment("b"))
            work("audit")
        return recorder

    async def test_children_are_those_directly_below(self) -> None:
        recorder = await self.record()
        order = recorder.find(name="order")
        payments = recorder.children(order)
        assert order.parent_id is None
        assert [span.attributes["card"] for span in payments] == ["a", "b"]
        assert {span.parent_id for span in payments} == {order.span_id}
        assert {span.trace_id for span in payments} == {order.trace_id}
        assert recorder.children(recorder.find(name="audit")) == []

    async def test_the_tree_shows_who_is_below_whom(self) -> None:
        recorder = await self.record()
        assert recorder.tree().splitlines() == [
            "order",
            "  payment",
            "    charge a",
            "  payment",
            "    charge b",
            "audit",
        ]

    def test_a_parent_of_another_process_makes_a_root(self) -> None:
        far = trace.SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=True)
        context = trace.set_span_in_context(trace.NonRecordingSpan(far))
        with SpanRecorder() as recorder:
            TRACER.start_span("order", context=context).end()
        order = recorder.find(name="order")
        assert order.parent_id == "0000000000000def"
        assert order.trace_id == "00000000000000000000000000000abc"
        assert recorder.tree() == "order"


class TestFind:
    @pytest.fixture
    def recorder(self) -> SpanRecorder:
        with SpanRecorder() as recorder:
            for card in ("a", "b"):
                with TRACER.start_as_current_span("payment") as span:
                    span.set_attributes({"card": card, "skus": ["x"]})
            work("order")
        return recorder

    def test_by_name_and_by_attributes(self, recorder: SpanRecorder) -> None:
        assert recorder.find(name="order").name == "order"
        assert recorder.find(attributes={"card": "b"}).attributes["card"] == "b"
        payment = recorder.find(name="payment", attributes={"card": "a", "skus": ("x",)})
        assert payment.attributes["card"] == "a"
        assert len(recorder.find_all(name="payment")) == 2
        assert len(recorder.find_all()) == 3
        assert recorder.find_all(name="order", attributes={"card": "a"}) == []

    def test_none_at_all_shows_what_there_is(self, recorder: SpanRecorder) -> None:
        with pytest.raises(LookupError) as missed:
            recorder.find(name="refund", attributes={"card": "a"})
        assert str(missed.value) == (
            "found 0 of name 'refund' and attributes {'card': 'a'}; recorded were\n"
            "payment\npayment\norder"
        )

    def test_several_are_refused(self, recorder: SpanRecorder) -> None:
        with pytest.raises(LookupError, match=r"^found 2 of name 'payment'; recorded were"):
            recorder.find(name="payment")

    def test_an_empty_recording_is_reported(self) -> None:
        with SpanRecorder() as recorder:
            pass
        with pytest.raises(LookupError, match=r"found 0 of any name; recorded were\n\(none\)"):
            recorder.find()
