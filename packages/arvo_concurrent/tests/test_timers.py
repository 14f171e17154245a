"""Timers of resumables: set, cancelled and fired in the commits of their workflow."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from arvo_core import ArvoEvent
from arvo_event_handler import (
    Complete,
    ConfigViolation,
    ContractViolation,
    Due,
    Emit,
    ExecutionViolation,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
    Timer,
    TransactionViolation,
    TransactionViolationCause,
    WorkflowControl,
)
from arvo_event_handler._timer_event import timer_event
from arvo_event_handler.memory import decode_record, encode_record
from arvo_event_handler.memory._kept_event import event_hash
from arvo_time.testing import FakeClock, MetricRecorder, SpanRecorder

from .reminders import (
    ASK_MAIL,
    ASK_PAY,
    BEGIN,
    DAY,
    HOUR,
    MAIL_V1,
    PAY_V1,
    Call,
    Ended,
    Order,
    Shop,
    Waiting,
    claimed,
    paid,
    purchase,
    start,
)


@pytest.fixture(params=[1024 * 1024, 0], ids=["warm", "cold"])
def warm_bytes(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def key(name: str, event: ArvoEvent) -> str:
    return f"{name}#{event_hash(event.source, event.id)}"


class TestRecord:
    async def test_a_timer_is_in_the_record_and_the_index_of_the_commit_that_sets_it(
        self, clock: FakeClock
    ) -> None:
        shop = Shop(clock)
        await shop.begin()
        record = await shop.record()
        assert record["timers"] == {
            key("payment", shop.init): {"at": "2025-01-02T00:00:00.000+00:00"}
        }
        assert await shop.due() == BEGIN + DAY
        workflow = await shop.memory.workflow(shop.init.subject)
        assert workflow is not None
        assert (workflow.due, workflow.waits_for) == (BEGIN + DAY, (ASK_PAY, "timer"))

    async def test_a_timer_that_is_set_again_has_another_key(self, clock: FakeClock) -> None:
        shop = Shop(clock)
        await shop.begin()
        clock.advance(DAY)
        [tick] = await claimed(shop.memory, clock)
        [mail] = await shop.handler.execute(tick)
        assert mail.type == ASK_MAIL
        record = await shop.record()
        assert record["timers"] == {key("payment", tick): {"at": "2025-01-03T00:00:00.000+00:00"}}

    async def test_a_workflow_that_ends_has_no_timers(self, clock: FakeClock) -> None:
        shop = Shop(clock)
        [request] = await shop.begin()
        [done] = await shop.handler.execute(paid(request))
        assert done.data == {"reminders": 0}
        assert await shop.due() is None
        assert "timers" not in await shop.record()

    async def test_the_earliest_is_handed_over_only_when_it_changes(self, clock: FakeClock) -> None:
        """A step beside a claimed tick resets neither its hold nor its claims."""

        async def counting(call: Call) -> Step[Waiting]:
            if isinstance(call, Start):
                requests = [Emit(ASK_PAY, Order()) for _ in range(2)]
                return Step(services=requests, timers=[Timer("payment", after=DAY)])
            return Step(timers=[Timer("later", after=2 * DAY)])

        shop = Shop(clock, counting)
        first, second = await shop.begin()
        clock.advance(DAY)
        [tick] = await claimed(shop.memory, clock)
        await shop.handler.execute(paid(first))
        assert await claimed(shop.memory, clock) == []
        clock.advance(timedelta(seconds=30))
        await shop.handler.execute(paid(second))
        [again] = await shop.memory.claim_due(limit=1, hold=HOUR)
        assert (again.claims, again.key) == (2, tick.data["key"])

    async def test_a_record_without_timers_has_no_member_for_them(self, clock: FakeClock) -> None:
        async def plain(call: Call) -> Step[Waiting]:
            return Step(services=[Emit(ASK_PAY, Order())])

        shop = Shop(clock, plain)
        await shop.begin()
        assert "timers" not in await shop.record()
        assert await shop.due() is None

    @pytest.mark.parametrize(
        "damaged",
        [[], {"payment#1": {}}, {"payment#1": {"at": "noon"}}, {"payment#1": {"at": "2025-01-02"}},
         {"payment#1": {"at": "2025-01-02T00:00:00.000+00:00", "event": "x"}}],
        ids=["list", "no time", "no moment", "no zone", "no event"],
    )  # fmt: skip
    async def test_a_damaged_member_is_a_read_failure(self, clock: FakeClock, damaged: Any) -> None:
        shop = Shop(clock)
        [request] = await shop.begin()
        kept = shop.memory._stored[shop.init.subject]
        kept.json = encode_record({**decode_record(kept.json), "timers": damaged})
        with pytest.raises(TransactionViolation, match="timer") as caught:
            await shop.handler.execute(paid(request))
        assert caught.value.cause is TransactionViolationCause.READ_FAILURE
        assert not caught.value.retryable


async def untimed(call: Start[Order] | Reply[Waiting]) -> Step[Waiting]:
    return Step()


class TestTicks:
    async def test_a_tick_fires_once(self, clock: FakeClock, warm_bytes: int) -> None:
        shop = Shop(clock, warm_bytes=warm_bytes)
        await shop.begin()
        clock.advance(DAY)
        [tick] = await claimed(shop.memory, clock)
        first = await shop.handler.execute(tick)
        again = await shop.handler.execute(tick)
        assert [each.id for each in again] == [each.id for each in first]
        assert (await shop.record())["state$$"] == {"reminders": 1}

    async def test_its_id_follows_from_the_subject_and_the_key(self, clock: FakeClock) -> None:
        shop = Shop(clock)
        await shop.begin()
        clock.advance(DAY)
        [tick] = await claimed(shop.memory, clock)
        clock.advance(HOUR)
        [again] = await claimed(shop.memory, clock)
        assert (tick.id, tick.source, tick.to) == (again.id, again.source, again.to)
        assert tick.type == "arvo.timer.due"

    async def test_of_a_cancelled_timer_it_changes_nothing(self, clock: FakeClock) -> None:
        async def cancelling(call: Call) -> Step[Waiting]:
            if isinstance(call, Start):
                requests = [Emit(ASK_PAY, Order())]
                return Step(services=requests, timers=[Timer("payment", after=DAY)])
            assert not isinstance(call, Due)
            return Step(cancel=["payment", "unknown"])

        shop = Shop(clock, cancelling)
        [request] = await shop.begin()
        clock.advance(DAY)
        [tick] = await claimed(shop.memory, clock)
        await shop.handler.execute(paid(request))
        assert await shop.due() is None
        before = await shop.record()
        with MetricRecorder() as metrics:
            assert await shop.handler.execute(tick) == []
        assert await shop.record() == before
        assert metrics.find(name="arvo.timers.ignored").value == 1

    async def test_with_a_key_that_was_never_set_it_does_nothing(self, clock: FakeClock) -> None:
        shop = Shop(clock)
        await shop.begin()
        before = await shop.record()
        made_up = timer_event(
            shop.init.subject, key="payment#0000", at=BEGIN, due_by=BEGIN, now=BEGIN
        )
        with MetricRecorder() as metrics:
            assert await shop.handler.execute(made_up) == []
        assert metrics.find(name="arvo.timers.ignored").value == 1
        assert await shop.record() == before

    async def test_of_a_workflow_that_is_forgotten_it_does_nothing(self, clock: FakeClock) -> None:
        shop = Shop(clock)
        await shop.begin()
        clock.advance(DAY)
        [tick] = await claimed(shop.memory, clock)
        await shop.memory.cleanup(shop.init.subject)
        assert await shop.handler.execute(tick) == []
        assert await shop.memory.read(shop.init.subject) is None

    async def test_the_next_that_was_due_at_the_claim_is_an_output(self, clock: FakeClock) -> None:
        fired: list[tuple[str, datetime]] = []

        async def three(call: Call) -> Step[Waiting]:
            if isinstance(call, Start):
                names = [("b", 2), ("a", 1), ("c", 2), ("late", 9)]
                return Step(timers=[Timer(name, after=hours * HOUR) for name, hours in names])
            assert isinstance(call, Due)
            fired.append((call.name, call.at))
            return Step()

        shop = Shop(clock, three)
        await shop.begin()
        clock.advance(5 * HOUR)
        outputs = await shop.tick()
        while outputs:
            [tick] = outputs
            outputs = await shop.handler.execute(tick)
        assert fired == [("a", BEGIN + HOUR), ("b", BEGIN + 2 * HOUR), ("c", BEGIN + 2 * HOUR)]
        assert await shop.due() == BEGIN + 9 * HOUR

    async def test_a_tick_whose_data_is_damaged_is_refused(self, clock: FakeClock) -> None:
        shop = Shop(clock)
        await shop.begin()
        tick = timer_event(shop.init.subject, key="x", at=BEGIN, due_by=BEGIN, now=BEGIN)
        with pytest.raises(ContractViolation, match=r"arvo\.timer\.due"):
            await shop.handler.execute(tick.model_copy(update={"data": {"key": 1}}))


class TestDue:
    async def test_it_has_the_context_and_the_answers_so_far(
        self, clock: FakeClock, warm_bytes: int
    ) -> None:
        seen: list[Any] = []

        async def two(call: Call) -> Step[Waiting]:
            if isinstance(call, Start):
                requests = [Emit(ASK_PAY, Order()), Emit(ASK_PAY, Order())]
                timers = [Timer("payment", after=DAY)]
                return Step(context=Waiting(), services=requests, timers=timers)
            if isinstance(call, Due):
                seen.append((call.name, call.at, call.context, len(call.replies(PAY_V1))))
                return Step(services=[Emit(ASK_MAIL, Order())])
            seen.append((len(call.replies(PAY_V1)), len(call.replies(MAIL_V1))))
            return Step()

        shop = Shop(clock, two, warm_bytes=warm_bytes)
        first, second = await shop.begin()
        await shop.handler.execute(paid(first))
        clock.advance(DAY)
        await shop.tick()
        await shop.handler.execute(paid(second))
        assert seen == [(1, 0), ("payment", BEGIN + DAY, Waiting(), 1), (2, 0)]

    async def test_the_planned_time_stays_when_it_fires_late(self, clock: FakeClock) -> None:
        seen: list[datetime] = []

        async def noting(call: Call) -> Step[Waiting]:
            if isinstance(call, Due):
                seen.append(call.at)
            return Step(timers=[Timer("again", after=DAY)])

        shop = Shop(clock, noting)
        await shop.begin()
        clock.advance(30 * DAY)
        await shop.tick()
        assert seen == [BEGIN + DAY]
        assert await shop.due() == BEGIN + 31 * DAY

    async def test_setting_a_pending_name_replaces_it(self, clock: FakeClock) -> None:
        async def postponing(call: Call) -> Step[Waiting]:
            if isinstance(call, Start):
                requests = [Emit(ASK_PAY, Order())]
                return Step(services=requests, timers=[Timer("payment", after=DAY)])
            return Step(timers=[Timer("payment", at=BEGIN + 9 * DAY)])

        shop = Shop(clock, postponing)
        [request] = await shop.begin()
        answer = paid(request)
        await shop.handler.execute(answer)
        assert [*(await shop.record())["timers"]] == [key("payment", answer)]
        assert await shop.due() == BEGIN + 9 * DAY

    async def test_at_is_rounded_up_to_whole_milliseconds(self, clock: FakeClock) -> None:
        async def precise(call: Call) -> Step[Waiting]:
            return Step(timers=[Timer("soon", after=timedelta(microseconds=1001))])

        shop = Shop(clock, precise)
        await shop.begin()
        assert await shop.due() == BEGIN + timedelta(milliseconds=2)


class TestMistakes:
    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (lambda: Timer("a"), "either at= or after="),
            (lambda: Timer("a", after=DAY, at=BEGIN), "either at= or after="),
            (lambda: Timer("a", after=-DAY), "negative"),
            (lambda: Timer("a", after=1), "timedelta"),  # type: ignore[arg-type]
            (lambda: Timer("a", after=3654 * DAY), "10 years"),
            (lambda: Timer("a", at=datetime(2025, 1, 1)), "time zone"),  # noqa: DTZ001
            (lambda: Timer("arvo.deadline", after=DAY), "reserved"),
            (lambda: Timer("", after=DAY), "printable"),
            (lambda: Emit(ASK_PAY, Order(), after=-DAY), "Emit of com.shop.pay: .* negative"),
            (lambda: Emit(ASK_PAY, Order(), after=3654 * DAY), "Emit of com.shop.pay: .* 10 years"),
            (lambda: Emit(ASK_PAY, Order(), at=BEGIN, after=DAY), "either at= or after="),
            (lambda: Emit(ASK_PAY, Order(), at=datetime(2025, 1, 1)), "time zone"),  # noqa: DTZ001
            (lambda: Step(timers=[Timer("a", after=DAY), Timer("a", after=DAY)]), "twice"),
            (lambda: Step(timers=["a"]), "Timer items"),  # type: ignore[list-item]
            (lambda: Step(cancel="payment"), "list or tuple"),
            (lambda: Step(cancel=["arvo.deadline"]), "reserved"),
        ],
        ids=["neither", "both", "negative", "number", "long", "naive", "reserved", "empty",
             "negative emit", "long emit", "both of emit", "naive emit", "twice", "no timer", "text", "cancel reserved"],
    )  # fmt: skip
    def test_it_names_what_is_wrong(self, make: Any, said: str) -> None:
        with pytest.raises(ContractViolation, match=said):
            make()

    async def test_no_delay_is_allowed_and_due_at_once(self, clock: FakeClock) -> None:
        fired: list[str] = []

        async def hasty(call: Call) -> Step[Waiting]:
            if isinstance(call, Start):
                now = timedelta(0)
                request = Emit(ASK_PAY, Order(), after=now)
                return Step(services=[request], timers=[Timer("now", after=now)])
            assert isinstance(call, Due)
            fired.append(call.name)
            return Step()

        shop = Shop(clock, hasty)
        assert await shop.begin() == [], "within the step nothing leaves and nothing fires"
        request, tick = await shop.tick()
        assert await shop.handler.execute(tick) == []
        assert (request.type, fired) == (ASK_PAY, ["now"])
        assert await shop.due() is None

    @pytest.mark.parametrize(
        ("step", "said"),
        [
            (
                Step(timers=[Timer(str(n), after=DAY) for n in range(257)]),
                r"arvo\.orc\.purchase: the step leads to 257 pending timers; the limit is 256",
            ),
            (Step(timers=[Timer("a", at=BEGIN + 3654 * DAY)]), r"purchase: timer 'a': .* 10 years"),
            (Step(timers=[Timer("a", at=datetime.max.replace(tzinfo=UTC))]), "10 years"),
            (Step(services=[Emit(ASK_PAY, Order(), id="arvo.deadline", after=DAY)]), "reserved"),
        ],
        ids=["count", "moment", "last moment", "reserved id"],
    )
    async def test_beyond_a_limit_nothing_is_stored(
        self, clock: FakeClock, step: Step[Waiting], said: str
    ) -> None:
        async def excessive(call: Call) -> Step[Waiting]:
            return step

        shop = Shop(clock, excessive)
        with pytest.raises(ContractViolation, match=said):
            await shop.begin()
        assert await shop.memory.read(shop.init.subject) is None
        assert await shop.due() is None

    async def test_a_function_that_takes_no_due_cannot_set_a_timer(self, clock: FakeClock) -> None:
        async def forgetful(call: Start[Order] | Reply[Waiting]) -> Step[Waiting]:
            return Step(timers=[Timer("a", after=DAY)])

        with pytest.raises(ConfigViolation, match=r"add it.*Due\[\.\.\.\]"):
            await Shop(clock, forgetful).begin()

    async def test_a_deployed_function_that_takes_no_due_any_more_loses_no_timer(
        self, clock: FakeClock
    ) -> None:
        shop = Shop(clock)
        await shop.begin()
        clock.advance(DAY)
        [tick] = await claimed(shop.memory, clock)
        before = await shop.record()
        with pytest.raises(ConfigViolation, match="Due"):
            await purchase(shop.memory, clock, untimed).execute(tick)
        assert await shop.record() == before
        assert await shop.handler.execute(tick)

    def test_due_in_the_annotation_needs_a_memory_with_an_index(self, clock: FakeClock) -> None:
        with pytest.raises(ConfigViolation, match="ConcurrentMachineMemory"):
            purchase(SimpleMachineMemory(), clock)

    async def test_a_timer_needs_a_memory_with_an_index(self, clock: FakeClock) -> None:
        async def unannotated(call: Any) -> Step[Any]:
            return Step(timers=[Timer("a", after=DAY)])

        handler = purchase(SimpleMachineMemory(), clock, unannotated)
        with pytest.raises(ConfigViolation, match="SimpleMachineMemory has none") as caught:
            await handler.execute(start(clock))
        for able in ("Concurrent", "Sqlite", "Postgres", "Redis"):
            assert f"{able}MachineMemory" in str(caught.value)

    async def test_a_delayed_request_needs_a_memory_with_an_index(self, clock: FakeClock) -> None:
        async def later(call: Start[Order] | Reply[Waiting]) -> Step[Waiting]:
            return Step(services=[Emit(ASK_PAY, Order(), after=DAY)])

        memory = SimpleMachineMemory()
        init = start(clock)
        with pytest.raises(ConfigViolation, match="SimpleMachineMemory has none"):
            await purchase(memory, clock, later).execute(init)
        assert await memory.read(init.subject) is None


class TestDelayedRequests:
    async def test_a_request_leaves_when_it_is_due_and_its_answer_is_collected(
        self, clock: FakeClock, warm_bytes: int
    ) -> None:
        seen: list[int] = []

        async def later(call: Call) -> Step[Waiting]:
            if isinstance(call, Start):
                now, delayed = Emit(ASK_PAY, Order()), Emit(ASK_PAY, Order(), after=DAY)
                return Step(services=[now, delayed])
            assert not isinstance(call, Due)
            seen.append(len(call.replies(PAY_V1)))
            return Step(output=Complete(Ended())) if seen[-1] == 2 else Step()

        shop = Shop(clock, later, warm_bytes=warm_bytes)
        [request] = await shop.begin()
        await shop.handler.execute(paid(request))
        assert await shop.handler.execute(shop.init) == [], "a request left too early"
        clock.advance(DAY)
        [delayed] = await shop.tick()
        assert delayed.type == ASK_PAY
        assert delayed.id != request.id
        [done] = await shop.handler.execute(paid(delayed))
        assert seen == [1, 2]
        assert done.data == {"reminders": 0}

    async def test_its_tick_that_comes_again_sends_it_again(self, clock: FakeClock) -> None:
        async def later(call: Call) -> Step[Waiting]:
            return Step(services=[Emit(ASK_PAY, Order(), after=DAY)])

        shop = Shop(clock, later)
        assert await shop.begin() == []
        clock.advance(DAY)
        [tick] = await claimed(shop.memory, clock)
        [request] = await shop.handler.execute(tick)
        assert await shop.handler.execute(tick) == [request]
        assert await shop.handler.owed(shop.init.subject) == [request]

    @pytest.mark.parametrize("names", [["late"], []], ids=["cancelled", "kept"])
    async def test_cancel_takes_its_id(self, clock: FakeClock, names: list[str]) -> None:
        async def later(call: Call) -> Step[Waiting]:
            if isinstance(call, Start):
                delayed = Emit(ASK_PAY, Order(), id="late", after=DAY)
                return Step(services=[Emit(ASK_PAY, Order()), delayed])
            return Step(cancel=names)

        shop = Shop(clock, later)
        [request] = await shop.begin()
        await shop.handler.execute(paid(request))
        assert (await shop.due() is None) is bool(names)
        record = await shop.record()
        assert record["journal"]["entries"][-1].get("dropped", []) == names

    async def test_a_cancelled_one_can_be_sent_anew_with_its_id(self, clock: FakeClock) -> None:
        async def moving(call: Call) -> Step[Waiting]:
            days = 1 if isinstance(call, Start) else 2
            delayed = Emit(ASK_PAY, Order(), id="late", after=days * DAY)
            also = [Emit(ASK_MAIL, Order())] if isinstance(call, Start) else []
            cancel = [] if isinstance(call, Start) else ["late"]
            return Step(services=[*also, delayed], cancel=cancel)

        shop = Shop(clock, moving)
        [mail] = await shop.begin()
        factory_answer = paid(mail)
        await shop.handler.execute(factory_answer)
        assert await shop.due() == BEGIN + 2 * DAY

    async def test_an_id_that_waits_to_leave_is_taken(self, clock: FakeClock) -> None:
        async def twice(call: Call) -> Step[Waiting]:
            delayed = Emit(ASK_PAY, Order(), id="late", after=DAY)
            return Step(services=[Emit(ASK_MAIL, Order()), delayed])

        shop = Shop(clock, twice)
        [mail] = await shop.begin()
        with pytest.raises(ConfigViolation, match="late"):
            await shop.handler.execute(paid(mail))

    async def test_a_timer_cannot_have_its_id_as_a_name(self, clock: FakeClock) -> None:
        async def mixing(call: Call) -> Step[Waiting]:
            delayed = Emit(ASK_PAY, Order(), id="late", after=DAY)
            return Step(services=[delayed], timers=[Timer("late", after=DAY)])

        with pytest.raises(ConfigViolation, match="late"):
            await Shop(clock, mixing).begin()

    async def test_one_alone_begins_a_new_collection(
        self, clock: FakeClock, warm_bytes: int
    ) -> None:
        seen: list[int] = []

        async def later(call: Call) -> Step[Waiting]:
            if isinstance(call, Start):
                return Step(services=[Emit(ASK_PAY, Order())])
            assert not isinstance(call, Due)
            seen.append(len(call.replies(PAY_V1)))
            return Step(services=[Emit(ASK_PAY, Order(), after=DAY)] if len(seen) == 1 else [])

        shop = Shop(clock, later, warm_bytes=warm_bytes)
        [request] = await shop.begin()
        await shop.handler.execute(paid(request))
        clock.advance(DAY)
        [delayed] = await shop.tick()
        await shop.handler.execute(paid(delayed))
        assert seen == [1, 1]

    async def test_its_answer_is_awaited_from_when_it_leaves(
        self, clock: FakeClock, warm_bytes: int
    ) -> None:
        async def later(call: Call) -> Step[Waiting]:
            if isinstance(call, Start):
                return Step(services=[Emit(ASK_PAY, Order(), id="late", after=DAY)])
            return Step(output=Complete(Ended()))

        shop = Shop(clock, later, answers="awaited", warm_bytes=warm_bytes)
        await shop.begin()
        clock.advance(DAY)
        [request] = await shop.tick()
        with pytest.raises(ExecutionViolation, match="not open"):
            await shop.handler.execute(paid(shop.init))
        [done] = await shop.handler.execute(paid(request))
        assert done.data == {"reminders": 0}

    async def test_one_that_waits_to_leave_is_not_lost(self, clock: FakeClock) -> None:
        async def later(call: Call) -> Step[Waiting]:
            return Step(services=[Emit(ASK_PAY, Order(), after=DAY)])

        shop = Shop(clock, later)
        await shop.begin()
        control = WorkflowControl(shop.init.subject, source="com.app.operator")
        with SpanRecorder() as recorder:
            assert await shop.handler.execute(control.wake()) == []
        assert not [event for span in recorder.spans for event in span.events]
