"""Schedules under a broker: each planned time has one event, whatever happens to the workers."""

import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid5

import pytest
from typing_extensions import override

from arvo_concurrent import ConcurrentEventBroker, ConcurrentMachineMemory
from arvo_core import ArvoOrchestrationSubject, ArvoOrchestratorEventFactory
from arvo_core._event_id import ARVO_NAMESPACE
from arvo_event_handler import (
    ArvoSchedule,
    ConfigViolation,
    ContractViolation,
    Emit,
    ExecutionViolation,
    MachineMemoryError,
    SimpleMachineMemory,
    TransactionViolation,
    WorkflowControl,
)
from arvo_event_handler._timer_event import timer_event
from arvo_event_handler.memory import LockPolicy, Record
from arvo_time.testing import FakeClock

from .almanac import BIND, DAY, PRINT, VIENNA, Almanac, Page, binding, page
from .broker_owner import workers

HOUR = timedelta(hours=1)
WEEKS = timedelta(days=21)


class TestPlannedTimes:
    async def test_each_has_one_event_with_an_id_of_name_and_time(self) -> None:
        almanac = Almanac()
        schedule = almanac.schedule()
        await almanac.run(schedule, 3 * DAY)
        assert almanac.printed == [f"2026-01-0{day}T06:00+01:00" for day in (1, 2, 3)]
        name = '["nightly","2026-01-01T05:00:00+00:00"]'
        assert almanac.ids[0] == str(uuid5(ARVO_NAMESPACE, name))
        assert await almanac.kept(schedule) == {
            "cron": "0 6 * * *",
            "zone": VIENNA,
            "next": "2026-01-04T05:00:00Z",
            "last": "2026-01-03T05:00:00Z",
        }
        assert almanac.owner.letters == []

    async def test_the_function_gets_the_time_in_the_zone(self) -> None:
        seen: list[datetime] = []
        almanac = Almanac()

        def emit(planned: datetime) -> None:
            seen.append(planned)

        await almanac.run(almanac.schedule(emit=emit), DAY)
        [planned] = seen
        assert (str(planned.tzinfo), planned.hour) == (VIENNA, 6)
        assert almanac.printed == []  # None is no event

    @pytest.mark.parametrize(
        ("cron", "start", "length", "expected"),
        [
            pytest.param(
                *("30 2 * * *", "2026-03-28T00:00Z", 3 * DAY),
                ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"],
                id="an hour is skipped",
            ),
            pytest.param(
                *("*/30 2 * * *", "2026-10-24T12:00Z", DAY),
                [
                    "2026-10-25T02:00+02:00",
                    "2026-10-25T02:30+02:00",
                    "2026-10-25T02:00+01:00",
                    "2026-10-25T02:30+01:00",
                ],
                id="an hour comes twice",
            ),
            pytest.param(
                *("30 2 * * *", "2026-10-24T12:00Z", 2 * DAY),
                ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"],
                id="a fixed time comes twice",
            ),
            pytest.param(
                *("0 6 29 2 *", "2026-01-01T00:00Z", 2557 * DAY),
                ["2028-02-29T06:00+01:00", "2032-02-29T06:00+01:00"],
                id="29 February",
            ),
            pytest.param(
                *("0 6 * 2 MON#5", "2026-01-01T00:00Z", 20 * 366 * DAY),
                ["2044-02-29T06:00+01:00"],
                id="further ahead than a timer may be",
            ),
        ],
    )
    async def test_times_over_years(
        self, cron: str, start: str, length: timedelta, expected: list[str]
    ) -> None:
        almanac = Almanac(start)
        await almanac.run(almanac.schedule(cron), length)
        assert almanac.printed == expected

    async def test_several_schedules_share_a_memory(self) -> None:
        almanac = Almanac()
        morning, evening = almanac.schedule(), almanac.schedule("0 18 * * *", name="evening.2")
        async with almanac.worker(morning, evening):
            await almanac.clock.run_for(DAY)
        assert almanac.printed == ["2026-01-01T06:00+01:00", "2026-01-01T18:00+01:00"]

    async def test_one_that_is_subscribed_later_begins_then(self) -> None:
        almanac = Almanac()
        async with almanac.worker() as broker:
            await almanac.clock.run_for(2 * DAY)
            broker.subscribe(almanac.schedule())
            await almanac.clock.run_for(DAY)
        assert almanac.printed == ["2026-01-03T06:00+01:00"]


# Down from noon of 15 March to noon of 5 April; the night of 29 March has no 2:30.
DOWN = [
    *(f"2026-03-{day}T02:30+01:00" for day in range(16, 29)),
    "2026-03-29T03:00+02:00",
    "2026-03-30T02:30+02:00",
    "2026-03-31T02:30+02:00",
    *(f"2026-04-0{day}T02:30+02:00" for day in range(1, 6)),
]


class TestMissed:
    @pytest.mark.parametrize(
        ("missed", "expected"), [("latest", DOWN[-1:]), ("all", DOWN), ("none", [])]
    )
    async def test_three_weeks_down_over_a_change(self, missed: Any, expected: list[str]) -> None:
        almanac = Almanac("2026-03-14T12:00Z")
        await almanac.run(almanac.schedule("30 2 * * *", missed=missed), DAY)
        assert almanac.printed == ["2026-03-15T02:30+01:00"]
        almanac.clock.advance(WEEKS)
        await almanac.run(almanac.schedule("30 2 * * *", missed=missed), HOUR)
        assert almanac.printed[1:] == expected
        assert await almanac.due() == "2026-04-06T00:30+00:00"
        await almanac.run(almanac.schedule("30 2 * * *", missed=missed), DAY)
        assert almanac.printed[1:] == [*expected, "2026-04-06T02:30+02:00"]
        assert len(set(almanac.ids)) == len(almanac.ids)

    @pytest.mark.parametrize(("late", "count"), [(60, 1), (61, 0)])
    async def test_a_minute_late_is_not_missed(self, late: int, count: int) -> None:
        almanac = Almanac()
        await almanac.run(almanac.schedule(missed="none"), HOUR)
        almanac.clock.advance(4 * HOUR + timedelta(seconds=late))
        await almanac.run(almanac.schedule(missed="none"), HOUR)
        assert len(almanac.printed) == count

    async def test_none_of_those_missed_takes_none_of_those_in_time(self) -> None:
        almanac = Almanac()
        await almanac.run(almanac.schedule("* * * * *", missed="none"), HOUR)
        assert len(almanac.printed) == 60
        almanac.clock.advance(timedelta(minutes=10, seconds=30))
        await almanac.run(almanac.schedule("* * * * *", missed="none"), timedelta(minutes=1))
        assert almanac.printed[60:] == ["2026-01-01T02:10+01:00", "2026-01-01T02:11+01:00"]

    async def test_more_than_a_thousand_are_dropped_and_counted(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        almanac = Almanac()
        await almanac.run(almanac.schedule("* * * * *", missed="all"), HOUR)
        almanac.clock.advance(DAY)
        del almanac.printed[:]
        await almanac.run(almanac.schedule("* * * * *", missed="all"), timedelta(seconds=1))
        assert len(almanac.printed) == len(set(almanac.printed)) == 1000
        assert almanac.printed[0] == "2026-01-01T09:21+01:00"
        assert almanac.printed[-1] == "2026-01-02T02:00+01:00"
        assert almanac.printed == sorted(almanac.printed)
        [said] = [each.message for each in caplog.records if "missed" in each.message]
        assert said == (
            "the schedule nightly has missed 1440 planned times; it drops the oldest 440, from "
            "2026-01-01T02:01:00+01:00 to 2026-01-01T09:20:00+01:00, and makes up for the last 1000"
        )

    async def test_a_minute_of_a_year_is_found_without_counting_them(self) -> None:
        """The loop would stand still for seconds."""
        almanac = Almanac()
        await almanac.run(almanac.schedule("* * * * *"), HOUR)
        almanac.clock.advance(365 * DAY)
        await almanac.run(almanac.schedule("* * * * *"), timedelta(seconds=1))
        assert almanac.printed[60:] == ["2027-01-01T02:00+01:00"]

    async def test_a_tick_that_waited_in_a_queue_counts_from_its_handling(self) -> None:
        """Not from the claim: its worker may have been gone for weeks since."""
        almanac = Almanac()
        schedule = almanac.schedule(missed="none")
        await almanac.run(schedule, HOUR)
        almanac.clock.advance(5 * HOUR)
        [due] = await almanac.memory.claim_due(limit=1, hold=HOUR)
        tick = timer_event(
            due.machine_id, key=due.key, at=due.at, due_by=due.due_by, now=almanac.clock.now()
        )
        almanac.clock.advance(WEEKS)
        assert await schedule.execute(tick) == []
        assert await almanac.due() == "2026-01-23T05:00+00:00"


class TestPlan:
    @pytest.mark.parametrize(
        ("cron", "zone", "expected"),
        [
            ("30 6 * * *", VIENNA, "2026-01-05T06:30+01:00"),
            ("0 6 * * *", "America/New_York", "2026-01-05T06:00-05:00"),
        ],
        ids=["another cron", "another zone"],
    )
    async def test_another_plan_holds_from_the_next_start_on(
        self, cron: str, zone: str, expected: str
    ) -> None:
        almanac = Almanac()
        await almanac.run(almanac.schedule(), DAY)
        almanac.clock.advance(3 * DAY)
        await almanac.run(almanac.schedule(cron, zone), DAY)
        assert almanac.printed == ["2026-01-01T06:00+01:00", expected]
        kept = await almanac.kept(almanac.schedule())
        assert (kept["cron"], kept["zone"]) == (cron, zone)

    async def test_a_plan_that_comes_back_holds_again(self) -> None:
        almanac = Almanac()
        for cron in ("0 6 * * *", "0 7 * * *", "0 6 * * *"):
            await almanac.run(almanac.schedule(cron), DAY)
        assert [each[11:13] for each in almanac.printed] == ["06", "07", "06"]

    async def test_the_same_plan_in_other_spaces_changes_nothing(self) -> None:
        almanac = Almanac()
        await almanac.run(almanac.schedule("0 6 * * *"), HOUR)
        before = await almanac.memory.read(almanac.schedule().subject)
        await almanac.run(almanac.schedule("  0  6 * * * "), HOUR)
        assert await almanac.memory.read(almanac.schedule().subject) == before

    async def test_the_record_decides_while_workers_differ(self) -> None:
        """A worker of the release before may handle a tick; its plan is out of date."""
        almanac = Almanac()
        old = almanac.schedule("0 6 * * *")
        async with almanac.worker(old):
            await almanac.clock.run_for(HOUR)
            await almanac.schedule("0 7 * * *").begin()
            await almanac.clock.run_for(2 * DAY)
        assert almanac.printed == ["2026-01-01T07:00+01:00", "2026-01-02T07:00+01:00"]

    async def test_a_plan_that_this_code_cannot_read_is_left_to_newer_code(self) -> None:
        almanac = Almanac()
        schedule = almanac.schedule()
        await almanac.run(schedule, HOUR)
        record = await almanac.memory.read(schedule.subject)
        record["state$$"]["zone"] = "Mars/Olympus"
        await almanac.memory.cleanup(schedule.subject)
        await almanac.memory.write(schedule.subject, record, None)
        almanac.clock.advance(DAY)
        [due] = await almanac.memory.claim_due(limit=1, hold=HOUR)
        tick = timer_event(
            due.machine_id, key=due.key, at=due.at, due_by=due.due_by, now=almanac.clock.now()
        )
        with pytest.raises(ConfigViolation, match="nightly: zone 'Mars/Olympus' is not a known"):
            await schedule.execute(tick)

    @pytest.mark.parametrize(
        "damage", [None, {}, {"cron": "0 6 * * *", "zone": "UTC", "next": "x"}]
    )
    async def test_a_damaged_record_is_refused(self, damage: Any) -> None:
        almanac = Almanac()
        schedule = almanac.schedule()
        await almanac.run(schedule, HOUR)
        record = await almanac.memory.read(schedule.subject)
        record["state$$"] = damage
        await almanac.memory.cleanup(schedule.subject)
        await almanac.memory.write(schedule.subject, record, None)
        with pytest.raises(TransactionViolation, match="what it keeps of the schedule") as caught:
            await schedule.begin()
        assert not caught.value.retryable


class TestWorkers:
    async def test_each_time_has_one_event_over_several(self) -> None:
        almanac = Almanac()
        async with (
            almanac.worker(almanac.schedule()),
            almanac.worker(almanac.schedule()),
            almanac.worker(almanac.schedule()),
        ):
            await almanac.clock.run_for(10 * DAY)
        assert almanac.printed == [f"2026-01-{day:02}T06:00+01:00" for day in range(1, 11)]
        assert almanac.owner.letters == []

    async def test_beginning_again_changes_nothing(self) -> None:
        almanac = Almanac()
        schedule = almanac.schedule()
        await schedule.begin()
        record = await almanac.memory.read(schedule.subject)
        almanac.clock.advance(HOUR)
        await schedule.begin()
        await almanac.schedule().begin()
        assert await almanac.memory.read(schedule.subject) == record

    @pytest.mark.parametrize("cron", ["0 6 * * *", "0 7 * * *"], ids=["first", "another plan"])
    async def test_two_that_begin_at_the_same_moment_set_one_timer(self, cron: str) -> None:
        almanac = Almanac()
        if cron != "0 6 * * *":
            await almanac.schedule().begin()
        schedule = almanac.schedule(cron)
        # Both have read that there is something to do.
        made = [await _beginning(almanac, schedule) for _ in range(2)]
        for event in made:
            assert await schedule.execute(event) == []
        record = await almanac.memory.read(schedule.subject)
        assert len(record["timers"]) == 1
        assert await almanac.due() == f"2026-01-01T0{int(cron[2]) - 1}:00+00:00"

    async def test_a_memory_that_fails_at_the_start_is_asked_again(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        almanac = Almanac(memory=_FailsAtFirst)
        schedule = almanac.schedule()
        almanac.memory.failures[schedule.subject] = 3
        other = almanac.schedule("0 3 * * *", name="other")
        async with almanac.worker(schedule, other):
            await almanac.clock.run_for(DAY)
        assert almanac.printed == ["2026-01-01T03:00+01:00", "2026-01-01T06:00+01:00"]
        said = [each.message for each in caplog.records if "cannot begin" in each.message]
        assert len(said) == 3
        assert "nightly" in said[0]
        assert "not at this moment" in said[0]

    async def test_one_that_contends_says_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        impatient = LockPolicy(max_wait=timedelta(0))
        almanac = Almanac(memory=partial(ConcurrentMachineMemory, policy=impatient))
        schedule = almanac.schedule()
        lease = await almanac.memory.acquire(schedule.subject)
        async with almanac.worker(schedule):
            await almanac.clock.run_for(2 * HOUR)
            await almanac.memory.release(lease)
            await almanac.clock.run_for(DAY)
        assert almanac.printed[0] == "2026-01-01T06:00+01:00"
        assert [each for each in caplog.records if each.levelno > logging.INFO] == []

    async def test_closing_ends_one_that_cannot_begin(self) -> None:
        almanac = Almanac(memory=_FailsAtFirst)
        schedule = almanac.schedule()
        almanac.memory.failures[schedule.subject] = 10**9
        await almanac.run(schedule, HOUR)
        assert workers() == []


class TestFunction:
    @pytest.mark.parametrize(
        ("emit", "kind", "message"),
        [
            (lambda planned: "page", ContractViolation, "returned str; return Emit.type, data."),
            (lambda planned: [page(planned)], ContractViolation, "returned list"),
            (lambda planned: _page_later(planned), ContractViolation, "returned coroutine"),
            (
                lambda planned: Emit("com.almanac.print", Page(planned="x"), id="mine"),
                ContractViolation,
                "an Emit with an id; leave it out",
            ),
            (
                lambda planned: Emit("com.almanac.print", Page(planned="x"), after=HOUR),
                ContractViolation,
                "an Emit that is to leave later",
            ),
            (
                lambda planned: Emit("com.almanac.print", Page(planned="x"), redirectto="com.a.b"),
                ContractViolation,
                "an Emit with redirectto; leave it out",
            ),
            (
                lambda planned: Emit("com.almanac.print", {}, at=planned.replace(tzinfo=None)),
                ContractViolation,
                "at must have a time zone, got 2026-01-01T06:00:00",
            ),
            (
                lambda planned: Emit(
                    "com.almanac.print", Page(planned="x"), time=planned.replace(tzinfo=None)
                ),
                ContractViolation,
                "time",
            ),
            (
                lambda planned: Emit("com.almanac.burn", {"planned": "x"}),
                ContractViolation,
                "no contract knows the event type 'com.almanac.burn'",
            ),
            (
                lambda planned: Emit("com.almanac.print", {}),
                ContractViolation,
                "planned: .*equired",
            ),
            (
                lambda planned: 1 / 0,
                ExecutionViolation,
                "raised ZeroDivisionError: division by zero",
            ),
            (
                lambda planned: _raise(ExecutionViolation("not today")),
                ExecutionViolation,
                "^not today$",
            ),
        ],
        ids=[
            *(
                "text",
                "list",
                "coroutine",
                "own id",
                "delayed",
                "redirected",
                "naive delay",
                "naive time",
            ),
            *("unknown type", "bad data"),
            *("raises", "raises a violation"),
        ],
    )
    async def test_a_mistake_stores_nothing_and_loses_nothing(
        self, emit: Any, kind: type[Exception], message: str
    ) -> None:
        almanac = Almanac()
        async with almanac.worker(almanac.schedule(emit=emit)):
            await almanac.clock.run_for(6 * HOUR)
        letters = almanac.owner.letters
        assert letters
        for letter in letters:
            assert isinstance(letter.error, kind)
        with pytest.raises(kind, match=message):
            raise letters[0].error
        kept = await almanac.kept(almanac.schedule())
        assert (kept["next"], kept["last"]) == ("2026-01-01T05:00:00Z", None)
        # The function is mended, and the time is late, but not lost.
        await almanac.run(almanac.schedule(), HOUR)
        assert almanac.printed == ["2026-01-01T06:00+01:00"]

    async def test_the_message_names_schedule_and_time(self) -> None:
        almanac = Almanac()
        await almanac.run(almanac.schedule(emit=lambda planned: 1 / 0), 6 * HOUR)
        assert "the schedule nightly: emit for 2026-01-01T06:00:00+01:00 raised" in str(
            almanac.owner.letters[0].error
        )


class TestWhatItAsks:
    async def test_an_answer_is_taken_and_its_request_no_longer_owed(self) -> None:
        almanac = Almanac()
        schedule = almanac.schedule()
        await almanac.run(schedule, 3 * DAY)
        assert await schedule.owed(schedule.subject) == []
        assert almanac.owner.letters == []
        assert almanac.owner.unclaimed == []

    async def test_a_system_error_is_logged_and_the_schedule_goes_on(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        almanac = Almanac("2026-01-12T12:00Z")
        await almanac.run(almanac.schedule(), 3 * DAY)
        assert len(almanac.printed) == 3
        said = [each.message for each in caplog.records if each.levelno == logging.WARNING]
        assert said == [
            "the schedule nightly: com.almanac.print has failed: ValueError: the ink is out"
        ]

    async def test_a_workflow_that_it_starts_belongs_to_no_other(self) -> None:
        almanac = Almanac()
        schedule = almanac.schedule(emit=binding)
        await almanac.run(schedule, 2 * DAY)
        assert len(set(almanac.subjects)) == 2
        for subject in almanac.subjects:
            content = ArvoOrchestrationSubject.parse(subject)
            assert (content.orchestrator.name, content.execution.initiator) == (
                BIND.type,
                schedule.source,
            )
        workflow = await almanac.memory.workflow(almanac.subjects[-1])
        assert (workflow.parent, workflow.status) == (None, "done")
        # Its completion has come, under its own subject, so that its start is not owed.
        assert await schedule.owed(schedule.subject) == []
        assert almanac.owner.letters == []

    async def test_a_mapping_starts_one_as_well(self) -> None:
        almanac = Almanac()

        def emit(planned: datetime) -> Emit:
            return Emit(BIND.type, {"planned": planned.isoformat()})

        await almanac.run(almanac.schedule(emit=emit), DAY)
        assert len(almanac.printed) == 1

    async def test_what_a_crash_kept_from_leaving_is_recovered(self) -> None:
        almanac = Almanac()
        schedule = almanac.schedule()
        await schedule.begin()
        almanac.clock.advance(DAY)
        [due] = await almanac.memory.claim_due(limit=1, hold=HOUR)
        tick = timer_event(
            due.machine_id, key=due.key, at=due.at, due_by=due.due_by, now=almanac.clock.now()
        )
        [request] = await schedule.execute(tick)  # stored, and the process ends
        assert await schedule.execute(tick) == [request]
        async with almanac.worker(almanac.schedule()) as broker:
            assert await broker.recover() == 1
            await broker.wait_idle()
        assert almanac.ids == [request.id]


class TestControl:
    async def test_a_schedule_that_is_cancelled_stays_so(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        almanac = Almanac()
        schedule = almanac.schedule()
        control = WorkflowControl(schedule.subject, source="com.app.operator")
        async with almanac.worker(schedule) as broker:
            await broker.publish(control.cancel("no more paper"))
            await almanac.clock.run_for(DAY)
        almanac.clock.advance(60 * DAY)  # a workflow that has failed is forgotten by then
        await almanac.run(almanac.schedule(), DAY)
        assert almanac.printed == []
        assert almanac.owner.letters == []
        assert "the schedule nightly was cancelled or has failed" in caplog.text

    async def test_a_time_that_is_fired_by_hand_is_not_due_again(self) -> None:
        almanac = Almanac()
        schedule = almanac.schedule()
        async with almanac.worker(schedule) as broker:
            await almanac.clock.run_for(HOUR)
            record = await almanac.memory.read(schedule.subject)
            [(key, timer)] = record["timers"].items()
            at = datetime.fromisoformat(timer["at"])
            now = almanac.clock.now()
            await broker.publish(timer_event(schedule.subject, key=key, at=at, due_by=now, now=now))
            await broker.wait_idle()
            assert almanac.printed == ["2026-01-01T06:00+01:00"]
            await almanac.clock.run_for(DAY)
        assert almanac.printed == ["2026-01-01T06:00+01:00"]
        assert await almanac.due() == "2026-01-02T05:00+00:00"

    async def test_another_workflow_of_its_type_is_refused(self) -> None:
        """Two records would be two schedules."""
        almanac = Almanac()
        schedule = almanac.schedule()
        start = ArvoOrchestratorEventFactory(schedule.contract.version("1.0.0")).init(
            source="com.app.main",
            data={"parentSubject$$": None, "cron": "* * * * *", "zone": "UTC"},
        )
        with pytest.raises(ExecutionViolation, match="the schedule has one alone; leave its start"):
            await schedule.execute(start)

    async def test_listed_with_its_name_and_timer(self) -> None:
        almanac = Almanac()
        schedule = almanac.schedule()
        await schedule.begin()
        workflow = await almanac.memory.workflow(schedule.subject)
        assert (workflow.key, workflow.source, workflow.status) == (
            "nightly",
            "arvo.orc.schedule.nightly",
            "active",
        )
        assert workflow.due == datetime(2026, 1, 1, 5, tzinfo=UTC)
        assert workflow.waits_for == ("timer",)


class TestConstruction:
    def test_the_subject_does_not_depend_on_how_data_is_deflated(self) -> None:
        """Written out, as another zlib would give another subject, and so another schedule."""
        assert Almanac().schedule().subject == (
            "eAEBpABb/3sib3JjaGVzdHJhdG9yIjp7Im5hbWUiOiJhcnZvLm9yYy5zY2hlZHVsZS5uaWdodGx5IiwidmVyc2l"
            "vbiI6IjEuMC4wIn0sImV4ZWN1dGlvbiI6eyJpZCI6Im5pZ2h0bHkiLCJpbml0aWF0b3IiOiJhcnZvLm9yYy5zY2"
            "hlZHVsZS5uaWdodGx5IiwiZG9tYWluIjpudWxsfSwibWV0YSI6e319emc5Yg=="
        )

    @pytest.mark.parametrize(
        ("options", "kind", "message"),
        [
            (
                {"cron": "0 25 * * *"},
                ValueError,
                "ArvoSchedule 'nightly': cron .* the hour is wrong",
            ),
            ({"cron": 6}, TypeError, "ArvoSchedule 'nightly': cron must be a str, got 6"),
            ({"zone": "CEST5"}, ValueError, "ArvoSchedule 'nightly': zone 'CEST5' is not a known"),
            ({"zone": None}, TypeError, "zone must be the name of a time zone, got None"),
            ({"name": "Nightly"}, ValueError, "the name 'Nightly' must be segments of a-z and 0-9"),
            ({"name": ""}, ValueError, "the name '' must be segments"),
            ({"name": "a b"}, ValueError, "the name 'a b' must be segments"),
            ({"name": 7}, TypeError, "name must be a str, got 7"),
            (
                {"missed": "some"},
                ValueError,
                'missed must be "latest", "all" or "none", got \'some\'',
            ),
            ({"missed": ["all"]}, ValueError, "missed must be"),
            ({"emit": None}, TypeError, "emit must be callable|emit must be"),
            (
                {"memory": SimpleMachineMemory()},
                ConfigViolation,
                "a schedule needs a machine memory",
            ),
            ({"memory": None}, ConfigViolation, "memory"),
        ],
        ids=[
            *("hour", "cron is a number", "zone", "no zone", "capitals", "empty", "space"),
            *("name is a number", "missed", "missed is a list", "no function"),
            *("no index", "no memory"),
        ],
    )
    def test_what_is_wrong_is_refused(
        self, options: dict[str, Any], kind: type[Exception], message: str
    ) -> None:
        with pytest.raises(kind, match=message):
            Almanac().schedule(**options)

    def test_an_async_function_is_refused(self) -> None:
        with pytest.raises(TypeError, match="emit must be a plain function, got the async"):
            Almanac().schedule(emit=_page_later)

    @pytest.mark.parametrize(
        "services", [[PRINT], [PRINT.version("1.0.0")] * 2], ids=["bare", "two"]
    )
    def test_services_are_contracts_in_a_version_each_once(self, services: Any) -> None:
        clock = FakeClock()
        with pytest.raises(ConfigViolation, match=r"schedule\.nightly: service"):
            ArvoSchedule(
                name="nightly",
                cron="0 6 * * *",
                zone=VIENNA,
                services=services,
                emit=page,
                memory=ConcurrentMachineMemory(clock=clock),
            )

    def test_two_of_one_name_are_refused_by_the_broker(self) -> None:
        almanac = Almanac()
        with pytest.raises(ConfigViolation, match=r"arvo\.orc\.schedule\.nightly"):
            ConcurrentEventBroker([almanac.schedule(), almanac.schedule()])


class _FailsAtFirst(ConcurrentMachineMemory):
    """A memory that cannot read some records, as often as a test says."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.failures: dict[str, int] = {}

    @override
    async def read(self, machine_id: str) -> Record | None:
        if self.failures.get(machine_id, 0) > 0:
            self.failures[machine_id] -= 1
            raise MachineMemoryError("not at this moment", retryable=True, outcome="failed")
        return await super().read(machine_id)


async def _page_later(planned: datetime) -> Emit:
    return page(planned)


def _raise(error: Exception) -> None:
    raise error


async def _beginning(almanac: Almanac, schedule: ArvoSchedule) -> Any:
    """Return the event with which a schedule begins, without its effect."""
    made: list[Any] = []

    async def execute(event: Any, **_: object) -> list[Any]:
        made.append(event)
        return []

    whole, schedule.execute = schedule.execute, execute  # type: ignore[method-assign]
    try:
        await schedule.begin()
    finally:
        schedule.execute = whole  # type: ignore[method-assign]
    [event] = made
    return event
