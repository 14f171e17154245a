"""Machines wait for time: `after`, `raise_` with a delay, `cancel`, and a deadline."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from arvo_concurrent import ConcurrentMachineMemory
from arvo_core import ArvoEvent
from arvo_event_handler import (
    ArvoMachine,
    ArvoOrchestrator,
    ConfigViolation,
    ContractViolation,
    ExecutionPolicy,
    IMachineMemory,
    InvalidHandlerError,
    SimpleMachineMemory,
    WorkflowControl,
)
from arvo_event_handler.memory import to_typescript
from arvo_statechart import Call, assign, cancel, emit, enqueue_actions, raise_
from arvo_time.testing import FakeClock, SpanRecorder

from .broker_owner import Owner, broker_of
from .reminders import (
    ASK_PAY,
    BEGIN,
    DAY,
    HOUR,
    PAY,
    PAY_V1,
    PURCHASE,
    PURCHASE_V1,
    claimed,
    mailing,
    paid,
    start,
    stored,
)

PAID = "evt.shop.pay.success"
ASK: Any = emit({"type": ASK_PAY, "data": {"item": "lamp"}})
DONE: Any = {"type": "final"}
OUTPUT: Any = lambda call: {"reminders": 0}  # noqa: E731


def orchestrator(
    memory: IMachineMemory,
    clock: FakeClock,
    config: Any,
    *,
    delays: Any = None,
    warm_bytes: int = 1024 * 1024,
    **options: Any,
) -> ArvoOrchestrator:
    whole: Any = {"output": OUTPUT, **config}
    made = ArvoMachine(
        contract=PURCHASE.version(PURCHASE_V1),
        services=[PAY.version(PAY_V1)],
        config=whole,
        delays=delays,
    )
    policy = ExecutionPolicy(clock=clock, warm_bytes=warm_bytes)
    return ArvoOrchestrator(machines=[made], memory=memory, policy=policy, **options)


class Chart:
    """One workflow over a memory in the process, without a broker."""

    def __init__(self, clock: FakeClock, config: Any, **options: Any) -> None:
        self.clock = clock
        self.memory = ConcurrentMachineMemory(clock=clock)
        self.handler = orchestrator(self.memory, clock, config, **options)
        self.init = start(clock)

    async def begin(self) -> list[ArvoEvent]:
        return await self.handler.execute(self.init)

    async def tick(self) -> list[ArvoEvent]:
        [tick] = await claimed(self.memory, self.clock)
        return await self.handler.execute(tick)

    async def due(self) -> datetime | None:
        return await self.memory.next_due()

    async def record(self) -> Any:
        return await stored(self.memory, self.init)

    async def names(self) -> list[str]:
        return [key.rpartition("#")[0] for key in (await self.record()).get("timers", {})]


PATIENT: Any = {
    "initial": "waiting",
    "states": {
        "waiting": {
            "entry": ASK,
            "after": {3_600_000: "late", "PATIENCE": "given_up"},
            "on": {PAID: "paid"},
        },
        "late": {"after": {"PATIENCE": "given_up"}, "on": {PAID: "waiting"}},
        "paid": DONE,
        "given_up": DONE,
    },
}


@pytest.mark.parametrize("warm_bytes", [1024 * 1024, 0], ids=["warm", "cold"])
async def test_a_state_waits_and_its_timers_go_when_it_is_left(
    clock: FakeClock, warm_bytes: int
) -> None:
    chart = Chart(clock, PATIENT, delays={"PATIENCE": DAY}, warm_bytes=warm_bytes)
    [request] = await chart.begin()
    timers = (await chart.record())["timers"]
    assert [*timers.values()] == [
        {"at": "2025-01-01T01:00:00.000+00:00"},
        {"at": "2025-01-02T00:00:00.000+00:00"},
    ]
    assert await chart.names() == [
        "xstate.after.3600000.(machine).waiting",
        "xstate.after.PATIENCE.(machine).waiting",
    ]
    clock.advance(HOUR)
    assert await chart.tick() == []
    assert (await chart.record())["value"] == "late"
    assert await chart.names() == ["xstate.after.PATIENCE.(machine).late"]
    assert await chart.due() == BEGIN + HOUR + DAY
    await chart.handler.execute(paid(request))
    assert await chart.due() == BEGIN + 2 * HOUR, "coming back starts the whole delay"


async def test_a_machine_that_ends_has_no_timers(clock: FakeClock) -> None:
    chart = Chart(clock, PATIENT, delays={"PATIENCE": DAY})
    [request] = await chart.begin()
    [done] = await chart.handler.execute(paid(request))
    assert done.type == PURCHASE.complete_type
    assert await chart.due() is None


async def test_a_tick_of_a_state_that_was_left_does_nothing(clock: FakeClock) -> None:
    chart = Chart(clock, PATIENT, delays={"PATIENCE": timedelta(minutes=30)})
    [request] = await chart.begin()
    clock.advance(HOUR)
    [tick] = await claimed(chart.memory, clock)
    config_free = paid(request)
    await chart.handler.execute(config_free)
    before = await chart.memory.read(chart.init.subject)
    assert await chart.handler.execute(tick) == []
    assert await chart.memory.read(chart.init.subject) == before


async def test_a_timer_whose_guards_fail_is_spent(clock: FakeClock) -> None:
    config: Any = {
        "initial": "a",
        "states": {
            "a": {"after": {1000: {"guard": lambda call: False, "target": "b"}}},
            "b": DONE,
        },
    }
    chart = Chart(clock, config)
    await chart.begin()
    clock.advance(timedelta(seconds=1))
    await chart.tick()
    assert (await chart.record())["value"] == "a"
    assert await chart.due() is None


async def test_a_delay_is_computed_when_it_is_set(clock: FakeClock) -> None:
    config: Any = {
        "context": {"hours": 2},
        "initial": "a",
        "states": {"a": {"after": {"WAIT": "b"}}, "b": {"after": {"WAIT": "c"}}, "c": DONE},
        "on": {PAID: {"actions": assign({"hours": 9})}},
    }
    chart = Chart(clock, config, delays={"WAIT": lambda call: call.context["hours"] * HOUR})
    await chart.begin()
    assert await chart.due() == BEGIN + 2 * HOUR


class TestDelayedEvents:
    async def test_it_keeps_its_whole_event_and_its_id(self, clock: FakeClock) -> None:
        seen: list[Any] = []
        config: Any = {
            "entry": raise_({"type": "REMIND", "times": 3}, delay=HOUR, id="remind"),
            "on": {"REMIND": {"actions": lambda call: seen.append(dict(call.event))}},
        }
        chart = Chart(clock, config)
        await chart.begin()
        [timer] = (await chart.record())["timers"].values()
        assert timer == {
            "at": "2025-01-01T01:00:00.000+00:00",
            "event": {"type": "REMIND", "times": 3},
            "id": "remind",
        }
        assert await chart.names() == ["remind"]
        clock.advance(HOUR)
        await chart.tick()
        assert seen == [{"type": "REMIND", "times": 3}]
        assert await chart.due() is None

    async def test_cancel_takes_its_id_and_none_without(self, clock: FakeClock) -> None:
        config: Any = {
            "entry": [
                ASK,
                raise_({"type": "A"}, delay=HOUR, id="first"),
                raise_({"type": "first"}, delay=2 * HOUR),
                raise_({"type": "first"}, delay=3 * HOUR),
            ],
            "on": {PAID: {"actions": [cancel("first"), cancel("unknown")]}},
        }
        chart = Chart(clock, config)
        [request] = await chart.begin()
        keys = [*(await chart.record())["timers"]]
        assert keys[1:] == [f"{keys[0]}.2", f"{keys[0]}.3"]
        await chart.handler.execute(paid(request))
        assert [*(await chart.record())["timers"]] == keys[1:]

    async def test_an_id_that_is_pending_is_replaced(self, clock: FakeClock) -> None:
        config: Any = {
            "entry": [ASK, raise_({"type": "A"}, delay=HOUR, id="x")],
            "on": {PAID: {"actions": raise_({"type": "B"}, delay=5 * HOUR, id="x")}},
        }
        chart = Chart(clock, config)
        [request] = await chart.begin()
        await chart.handler.execute(paid(request))
        [timer] = (await chart.record())["timers"].values()
        assert timer["event"] == {"type": "B"}

    async def test_a_negative_delay_waits_for_a_tick_before_others(self, clock: FakeClock) -> None:
        seen: list[str] = []
        config: Any = {
            "entry": [
                raise_({"type": "LATER"}, delay=0),
                raise_({"type": "FIRST"}, delay=-1000),
            ],
            "on": {"*": {"actions": lambda call: seen.append(call.event["type"])}},
        }
        chart = Chart(clock, config)
        await chart.begin()
        assert seen == []
        [tick] = await chart.tick()
        assert seen == ["FIRST"]
        assert await chart.handler.execute(tick) == []
        assert seen == ["FIRST", "LATER"]

    @pytest.mark.parametrize(
        ("action", "said"),
        [
            (raise_({"type": "A"}, delay=HOUR, id="arvo.deadline"), "reserved"),
            (raise_({"type": "arvo.deadline"}, delay=HOUR), "reserved"),
            (raise_({"type": "A"}, delay=lambda call: 3654 * DAY), "10 years"),
            (raise_({"type": "A"}, delay=lambda call: 1e300), "10 years"),
        ],
        ids=["id", "type", "long", "endless"],
    )
    async def test_one_that_cannot_be_is_refused(
        self, clock: FakeClock, action: Any, said: str
    ) -> None:
        chart = Chart(clock, {"entry": action})
        with pytest.raises(ContractViolation, match=said):
            await chart.begin()
        assert await chart.memory.read(chart.init.subject) is None

    @pytest.mark.parametrize("returned", [float("nan"), "50", True], ids=["nan", "text", "bool"])
    async def test_a_function_that_returns_no_delay_is_named_and_nothing_is_stored(
        self, clock: FakeClock, returned: Any
    ) -> None:
        config: Any = {
            "initial": "a",
            "states": {
                "a": {"entry": ASK, "on": {PAID: "b"}},
                "b": {"after": {"PATIENCE": "c"}},
                "c": DONE,
            },
        }
        chart = Chart(clock, config, delays={"PATIENCE": lambda call: returned})
        [request] = await chart.begin()
        before = await chart.record()
        with pytest.raises(ContractViolation) as caught:
            await chart.handler.execute(paid(request))
        said = "delay 'PATIENCE': expected the function to return a finite number of ms"
        assert said in str(caught.value)
        assert "#/shop/purchase/1.0.0" in str(caught.value)
        assert await chart.record() == before
        mended = orchestrator(chart.memory, clock, config, delays={"PATIENCE": lambda call: 5})
        assert await mended.execute(paid(request)) == []
        assert await chart.due() == BEGIN + timedelta(milliseconds=5)

    async def test_too_many_are_refused(self, clock: FakeClock) -> None:
        many: Any = [raise_({"type": "A"}, delay=HOUR) for _ in range(257)]
        with pytest.raises(ContractViolation, match="256"):
            await Chart(clock, {"entry": many}).begin()


class TestDeadline:
    async def test_it_ends_a_machine(self, clock: FakeClock) -> None:
        config: Any = {
            "initial": "a",
            "entry": [ASK, cancel("arvo.deadline")],
            "states": {"a": {"after": {3_600_000: {"actions": []}}}},
        }
        chart = Chart(clock, config, deadline=DAY)
        [request] = await chart.begin()
        assert await chart.names() == ["arvo.deadline", "xstate.after.3600000.(machine).a"]
        clock.advance(2 * DAY)
        [tick] = await chart.tick()
        [error] = await chart.handler.execute(tick)
        assert error.data["errorName"] == "WorkflowDeadlineExceeded"
        assert await chart.due() is None
        control = WorkflowControl(chart.init.subject, source="com.app.operator")
        assert await chart.handler.execute(control.retry(attempt=1)) == [request]
        assert await chart.due() == BEGIN + 3 * DAY

    async def test_a_retried_machine_has_the_timers_that_it_had(self, clock: FakeClock) -> None:
        broken = True

        def act(call: Call) -> None:
            if broken:
                raise LookupError("no")

        config: Any = {
            "initial": "a",
            "states": {
                "a": {"after": {1000: {"actions": act}, 5000: "b"}},
                "b": DONE,
            },
        }
        chart = Chart(clock, config)
        await chart.begin()
        clock.advance(timedelta(seconds=1))
        [error] = await chart.tick()
        assert error.data["errorName"] == "LookupError"
        assert await chart.due() is None
        broken = False
        control = WorkflowControl(chart.init.subject, source="com.app.operator")
        await chart.handler.execute(control.retry(attempt=1))
        assert await chart.due() == BEGIN + timedelta(seconds=5)


PLAIN: Any = {
    "initial": "waiting",
    "states": {
        "waiting": {"entry": ASK, "on": {PAID: "waiting", "*": {"actions": []}}},
        "late": {},
    },
}
GAINED: Any = {
    "initial": "waiting",
    "states": {
        "waiting": {
            "entry": ASK,
            "after": {3_600_000: "late"},
            "on": {PAID: {"target": "waiting", "reenter": True}},
        },
        "late": DONE,
    },
}


class TestMissingTimers:
    """A machine gains `after`, and meets a workflow that is in that state already."""

    async def test_it_says_so_and_sets_the_timer_when_the_state_is_entered_next(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        old = Chart(clock, PLAIN)
        [request] = await old.begin()
        other = start(clock)
        [further] = await old.handler.execute(other)
        deployed = orchestrator(old.memory, clock, GAINED)
        with SpanRecorder() as spans:
            [again] = await deployed.execute(paid(request))
            await deployed.execute(paid(further))
            await deployed.execute(paid(again))
        said = (
            "no timer is pending for xstate.after.3600000.(machine).waiting: the state was entered"
        )
        warned = [said in str(span.events) for span in spans.spans]
        assert warned == [True, True, False]
        [record] = [each for each in caplog.records if said in each.message]
        assert old.init.subject in record.message
        assert await old.due() == BEGIN + HOUR

    async def test_a_record_of_typescript_is_met_likewise(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        old = Chart(clock, GAINED)
        [request] = await old.begin()
        record = to_typescript(await old.record(), subject=old.init.subject)
        for ours in ("timers", "redelivery"):
            record.pop(ours, None)
        memory = ConcurrentMachineMemory(clock=clock)
        await memory.write(old.init.subject, record, None)
        await orchestrator(memory, clock, GAINED).execute(paid(request))
        assert "or in TypeScript, which stores no timers" in caplog.text
        assert await memory.next_due() == BEGIN + HOUR

    async def test_a_workflow_that_has_its_timer_or_has_spent_it_is_no_news(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        spent: Any = {
            "initial": "a",
            "entry": ASK,
            "states": {
                "a": {"after": {1000: {"guard": lambda call: False, "target": "b"}}},
                "b": {},
            },
            "on": {PAID: {"actions": []}},
        }
        for config in (GAINED, spent):
            chart = Chart(clock, config)
            [request] = await chart.begin()
            if config is spent:
                clock.advance(timedelta(seconds=1))
                await chart.tick()
            await chart.handler.execute(paid(request))
        assert "no timer is pending" not in caplog.text


class TestConstruction:
    def test_after_needs_a_memory_with_an_index(self, clock: FakeClock) -> None:
        with pytest.raises(ConfigViolation, match="a machine with `after` needs"):
            orchestrator(SimpleMachineMemory(), clock, PATIENT, delays={"PATIENCE": DAY})

    async def test_a_delayed_event_needs_a_memory_with_an_index(self, clock: FakeClock) -> None:
        config: Any = {"entry": raise_({"type": "A"}, delay=HOUR)}
        with pytest.raises(ConfigViolation, match="SimpleMachineMemory has none"):
            await orchestrator(SimpleMachineMemory(), clock, config).execute(start(clock))

    @pytest.mark.parametrize(
        ("config", "delays"),
        [
            ({"after": {3654 * 86_400_000: {"actions": []}}}, None),
            ({"after": {"LONG": {"actions": []}}}, {"LONG": 3654 * DAY}),
            ({"initial": "a", "states": {"a": {"after": {1e300: "a"}}}}, None),
            ({"entry": raise_({"type": "A"}, delay=3654 * DAY)}, None),
            ({"entry": raise_({"type": "A"}, delay="LONG")}, {"LONG": 3654 * DAY}),
            ({"on": {PAID: {"actions": [ASK, raise_({"type": "A"}, delay=1e300)]}}}, None),
            ({}, {"UNUSED": 3654 * DAY}),
        ],
        ids=["key", "name", "nested", "raise", "raise by name", "transition", "unused"],
    )
    def test_a_constant_that_is_too_long_is_refused(
        self, clock: FakeClock, config: Any, delays: Any
    ) -> None:
        memory = ConcurrentMachineMemory(clock=clock)
        with pytest.raises(
            InvalidHandlerError, match=r"ms are too long; the limit is 3653 days"
        ) as caught:
            orchestrator(memory, clock, config, delays=delays)
        assert "machine of '#/shop/purchase/1.0.0'" in str(caught.value)

    def test_ten_years_are_allowed(self, clock: FakeClock) -> None:
        config: Any = {
            "after": {3653 * 86_400_000: {"actions": []}, "LONG": {"actions": []}},
            "entry": raise_({"type": "A"}, delay=3653 * DAY),
        }
        memory = ConcurrentMachineMemory(clock=clock)
        handler = orchestrator(memory, clock, config, delays={"LONG": 3653 * DAY})
        assert handler.source == PURCHASE.type

    async def test_a_constant_that_is_chosen_in_a_step_is_refused_there(
        self, clock: FakeClock
    ) -> None:
        choose = enqueue_actions(lambda call: [raise_({"type": "A"}, delay=3654 * DAY)])
        chart = Chart(clock, {"entry": choose})
        with pytest.raises(ContractViolation, match="too long"):
            await chart.begin()
        assert await chart.memory.read(chart.init.subject) is None

    def test_an_unknown_name_is_an_error_with_its_path(self, clock: FakeClock) -> None:
        memory = ConcurrentMachineMemory(clock=clock)
        with pytest.raises(
            InvalidHandlerError, match=r"after\.PATIENSE: .*did you mean 'PATIENCE'\?"
        ):
            orchestrator(
                memory, clock, {"after": {"PATIENSE": {"actions": []}}}, delays={"PATIENCE": DAY}
            )


async def test_a_broker_fires_the_timers_of_machines(owner: Owner, clock: FakeClock) -> None:
    counted: Any = {"actions": assign(lambda call: {"days": call.context["days"] + 1})}
    config: Any = {
        "context": {"days": 0},
        "initial": "day",
        "states": {
            "day": {
                "after": {"DAY": {**counted, "target": "day", "reenter": True}},
                "always": {"guard": lambda call: call.context["days"] == 7, "target": "over"},
            },
            "over": DONE,
        },
        "output": lambda call: {"reminders": call.context["days"]},
    }
    memory = ConcurrentMachineMemory(clock=clock)
    handler = orchestrator(memory, clock, config, delays={"DAY": DAY})
    async with broker_of(owner, clock, handler, mailing([])) as broker:
        assert await broker.resolve(start(clock)) is None
        await clock.run_for(timedelta(days=6, hours=23))
        assert owner.unclaimed == []
        await clock.run_for(HOUR)
    assert len(owner.unclaimed) == 1
    assert owner.letters == []
