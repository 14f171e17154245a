import pytest
from opentelemetry import metrics
from opentelemetry.metrics import NoOpMeterProvider, _internal as internals

from arvo_time.testing import MetricRecorder

# Kept by this module before anything is recorded, as instrumented libraries do.
METER = metrics.get_meter("kept")
ORDERS = METER.create_counter("orders")
QUEUED = METER.create_up_down_counter("queued")
DURATION = METER.create_histogram("duration", unit="ms")
LEVEL = METER.create_gauge("level")


def is_on() -> bool:
    return type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.sdk")


def count_and_fail() -> None:
    ORDERS.add(1)
    raise LookupError


class TestInstallation:
    def test_metrics_are_on_within_the_block_only(self) -> None:
        assert not is_on()
        with MetricRecorder():
            assert is_on()
        assert not is_on()

    def test_metrics_are_off_again_after_an_exception(self) -> None:
        recorder = MetricRecorder()
        with pytest.raises(LookupError), recorder:
            count_and_fail()
        assert not is_on()
        assert recorder.find(name="orders").value == 1

    def test_a_provider_of_the_application_comes_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = NoOpMeterProvider()
        monkeypatch.setattr(internals, "_METER_PROVIDER", own)
        with MetricRecorder() as recorder:
            ORDERS.add(1)
        assert metrics.get_meter_provider() is own
        assert recorder.find(name="orders").value == 1
        with MetricRecorder() as again:
            ORDERS.add(1)
        assert again.find(name="orders").value == 1


class TestMetrics:
    def test_a_counter_has_its_increase(self) -> None:
        with MetricRecorder() as recorder:
            ORDERS.add(2)
            ORDERS.add(3)
        orders = recorder.find(name="orders")
        assert (orders.value, orders.count, orders.unit) == (5, None, "")

    def test_what_goes_down_is_negative(self) -> None:
        QUEUED.add(100)
        with MetricRecorder() as recorder:
            QUEUED.add(1)
            QUEUED.add(-4)
        assert recorder.find(name="queued").value == -3

    def test_a_histogram_has_its_sum_and_how_many(self) -> None:
        with MetricRecorder() as recorder:
            DURATION.record(2.5)
            DURATION.record(4)
        duration = recorder.find(name="duration")
        assert (duration.value, duration.count, duration.unit) == (6.5, 2, "ms")

    def test_a_gauge_has_its_new_value(self) -> None:
        for value in (7, 5):
            with MetricRecorder() as recorder:
                LEVEL.set(value)
            assert recorder.find(name="level").value == value

    def test_blocks_one_after_another_do_not_add_up(self) -> None:
        for _ in range(3):
            with MetricRecorder() as recorder:
                ORDERS.add(1)
                DURATION.record(2)
            assert recorder.find(name="orders").value == 1
            assert (recorder.find(name="duration").value, recorder.find(name="duration").count) == (
                2,
                1,
            )

    def test_what_did_not_change_is_not_there(self) -> None:
        with MetricRecorder():
            ORDERS.add(1)
        ORDERS.add(1)
        with MetricRecorder() as recorder:
            DURATION.record(1)
        assert [metric.name for metric in recorder.metrics] == ["duration"]

    def test_a_nested_block_has_its_own_and_the_outer_has_all(self) -> None:
        with MetricRecorder() as outer:
            ORDERS.add(1)
            with MetricRecorder() as inner:
                ORDERS.add(2)
            assert outer.find(name="orders").value == 3
            ORDERS.add(4)
        assert inner.find(name="orders").value == 2
        assert outer.find(name="orders").value == 7

    def test_attributes_tell_measurements_apart(self) -> None:
        with MetricRecorder() as recorder:
            ORDERS.add(1, {"country": "is", "ok": True})
            ORDERS.add(2, {"country": "no", "ok": True})
        assert recorder.find(name="orders", attributes={"country": "no"}).value == 2
        assert len(recorder.find_all(attributes={"ok": True})) == 2
        with pytest.raises(LookupError, match="found 2 of name 'orders'; recorded were\nRecorded"):
            recorder.find(name="orders")
