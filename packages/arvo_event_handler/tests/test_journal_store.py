"""A workflow on a journal does what it does on whole records, whatever is remembered or lost."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import JsonValue
from typing_extensions import override

from arvo_core import ArvoContract, ArvoEvent, ContractVersion
from arvo_event_handler import (
    Answers,
    ArvoOrchestrator,
    ArvoResumable,
    Complete,
    Emit,
    ExecutionPolicy,
    ExecutionViolation,
    IMachineMemory,
    SimpleMachineMemory,
    Start,
    Step,
    TransactionViolation,
)
from arvo_event_handler._workflow import _journal_store
from arvo_event_handler._workflow._warm_states import WarmState, WarmStates
from arvo_event_handler.memory import MachineLease, Record, _state, to_typescript
from arvo_event_handler.memory._journal_entry import START
from arvo_event_handler.memory._state import WorkflowState
from arvo_statechart.typing import MachineConfig
from arvo_time.testing import FakeClock

from .intercepted_memory import InterceptedLeasedMemory, fail
from .leased_memory import LeasedMemory
from .order_machines import (
    ask,
    first_context,
    machine as order_machine,
    orchestrator,
    remember_price,
    total,
)
from .shop import (
    CHARGE,
    CHARGE_V1,
    CHARGED,
    RESERVE,
    RESERVE_V1,
    RESERVED,
    AnyCall,
    Reserve,
    charge_contract,
    charged,
    order,
    reserve_contract,
    reserved,
    start,
)

NOTE_V1 = ContractVersion("1.0.0", accepts=Reserve, emits={})
note_contract = ArvoContract(uri="#/shop/note", type="com.shop.note", versions=[NOTE_V1])
SERVICES = (
    reserve_contract.version(RESERVE_V1),
    charge_contract.version(CHARGE_V1),
    note_contract.version(NOTE_V1),
)
ENDS, RAISES, ASKS = 100, 101, range(7)
"""The prices at which the workflow ends, raises, and asks again."""


async def flow(call: AnyCall) -> Step[dict[str, Any]]:
    """Keep in the context what every look at the collected answers shows."""
    if isinstance(call, Start):
        asked = [Emit(RESERVE, Reserve(item=item)) for item in call.data.items]
        return Step(
            context={"seen": []}, services=[*asked, Emit(note_contract.type, Reserve(item="x"))]
        )
    price: int = getattr(call.data, "price", -1)
    if price == RAISES:
        raise LookupError("sold out")
    if price == ENDS:
        return Step(output=Complete({"total": sum(r.price for r in call.replies(RESERVE_V1))}))
    events: Any = call.metadata["events"]
    seen = [
        *call.context["seen"][-3:],
        [
            [reply.price for reply in call.replies(RESERVE_V1)],
            [[kind, [answer.id for answer in answers]] for kind, answers in call.collected.items()],
            [events["consumed"]["id"], len(events["produced"]), len(events["expected"])],
        ],
    ]
    services: Sequence[Emit] = ()
    if price in ASKS:
        services = [
            *(Emit(RESERVE, Reserve(item=str(position))) for position in range(price)),
            Emit(CHARGE, {"amount": price}),
            *([] if price % 2 else [Emit(note_contract.type, Reserve(item="x" * 50))]),
        ]
    return Step(context={"seen": seen}, services=services)


def costs(*prices: int) -> Callable[[Any], bool]:
    return lambda call: call.event["data"]["price"] in prices


LOOP: MachineConfig = {
    "context": first_context,
    "initial": "open",
    "states": {
        "open": {
            "entry": [ask(RESERVE, item="a"), ask(RESERVE, item="b")],
            "on": {
                RESERVED: [
                    {"guard": "ends", "target": "done"},
                    {"guard": "asks", "actions": [ask(RESERVE, item="c"), ask(CHARGE, amount=1)]},
                    {"actions": remember_price},
                ],
                CHARGED: {"actions": ask(RESERVE, item="d")},
            },
        },
        "done": {"type": "final"},
    },
    "output": total,
}


def resumable(memory: IMachineMemory, **options: Any) -> ArvoResumable:
    return order(flow, memory=memory, services=SERVICES, **options)


def machine(memory: IMachineMemory, **options: Any) -> ArvoOrchestrator:
    guards = {"ends": costs(ENDS), "asks": costs(*ASKS)}
    return orchestrator(order_machine(LOOP, guards=guards), memory=memory, **options)


def untimed(content: Any) -> Any:
    """Return JSON without the times of events, which no two runs share, and without charts."""
    if isinstance(content, dict):
        left_out = {"time", "machineDefinition"}
        return {name: untimed(each) for name, each in content.items() if name not in left_out}
    return [untimed(each) for each in content] if isinstance(content, list) else content


class Compared:
    """One workflow on whole records, and the same on a journal by several workers.

    Args:
        make: Makes a handler over a memory.
        warm_bytes: How much each worker remembers.
        chunk_bytes: When a tail is closed.
        answers: Which answers are accepted.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        *,
        warm_bytes: Sequence[int],
        chunk_bytes: int,
        answers: Answers,
    ) -> None:
        clock = FakeClock()
        self.leased = LeasedMemory(clock=clock, chunk_bytes=chunk_bytes)
        self._plain_handler: Callable[[IMachineMemory], Any] = lambda memory: make(
            memory, answers=answers, policy=ExecutionPolicy(redelivery_window=5, clock=clock)
        )
        self._begin()
        self._handler: Callable[[IMachineMemory, int], Any] = lambda memory, warm: make(
            memory,
            answers=answers,
            policy=ExecutionPolicy(
                redelivery_window=5,
                warm_bytes=warm,
                finished_expiry=None,
                failed_expiry=None,
                clock=clock,
            ),
        )
        self.workers = [self._handler(self.leased, warm) for warm in warm_bytes]
        self.first = start("a", "b", "c")
        self.requests: list[ArvoEvent] = []
        self.events = [self.first]

    async def play(self, commands: Sequence[tuple[str, int, int]], workers: Sequence[int]) -> None:
        """Begin the workflow and carry out commands, each by one of the workers."""
        await self.deliver(self.first, 0)
        for number, (command, choice, price) in enumerate(commands):
            worker = workers[number % len(workers)]
            if command == "anew":
                await self.begin_anew()
                await self.deliver(self.first, worker)
            elif command == "again" or not self.requests:
                await self.deliver(self.events[choice % len(self.events)], worker)
            else:
                request = self.requests[choice % len(self.requests)]
                event = answer(request, price, number)
                self.events.append(event)
                if command == "answer":
                    await self.deliver(event, worker)
                else:
                    await self.lose(event, worker, effect=command == "unsaid")
            await self.same_record()

    async def deliver(self, event: ArvoEvent, worker: int) -> None:
        """Let an event come to both, and compare what they publish."""
        expected = await self._outcome(self.reference, event)
        assert await self._outcome(self.workers[worker], event) == expected
        if isinstance(expected, list):
            self.requests += [
                ArvoEvent.from_dict({**each, "time": event.time})
                for each in expected
                if each["type"] in (RESERVE, CHARGE)
            ]

    async def lose(self, event: ArvoEvent, worker: int, *, effect: bool) -> None:
        """Let a worker's commit fail; with an effect, it was stored and only its reply is lost."""
        trouble = fail("commit", ConnectionError("gone"))
        disturbed = (
            InterceptedLeasedMemory(self.leased, after=trouble)
            if effect
            else InterceptedLeasedMemory(self.leased, before=trouble)
        )
        store = self.workers[worker]._execution._store
        store._memory = disturbed
        outcome = await self._outcome(self.workers[worker], event)
        store._memory = self.leased
        if outcome == "TransactionViolation" and effect:
            await self.reference.execute(event)

    async def begin_anew(self) -> None:
        """Forget the workflow."""
        await self.leased.cleanup(self.first.subject)
        self._begin()

    def _begin(self) -> None:
        self.plain = SimpleMachineMemory()
        self.reference = self._plain_handler(self.plain)

    async def same_record(self) -> None:
        """Compare what is stored."""
        subject = self.first.subject
        stored, expected = await self.leased.read(subject), await self.plain.read(subject)
        shown: Record | None = (
            None
            if stored is None
            else to_typescript(stored, subject=subject, answering={RESERVE, CHARGE}, window=5)
        )
        # Only a workflow that says which requests are open needs them.
        for record in (shown, expected):
            redelivery: JsonValue = None if record is None else record["redelivery"]
            if isinstance(redelivery, dict):
                redelivery.pop("open", None)
        assert untimed(shown) == untimed(expected)

    async def _outcome(self, handler: Any, event: ArvoEvent) -> Any:
        try:
            return untimed([each.to_dict() for each in await handler.execute(event)])
        except (ExecutionViolation, TransactionViolation) as violation:
            return type(violation).__name__


def answer(request: ArvoEvent, price: int, number: int) -> ArvoEvent:
    made = charged(request) if request.type == CHARGE else reserved(request, price=price)
    return ArvoEvent.from_dict({**made.to_dict(), "id": f"answer-{number}"})


PRICES = st.integers(0, 30) | st.sampled_from([ENDS, RAISES, *ASKS])
COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.integers(0, 99), PRICES),
        st.tuples(st.just("answer"), st.integers(0, 99), PRICES),
        st.tuples(st.just("again"), st.integers(0, 99), PRICES),
        st.tuples(st.just("unsaid"), st.integers(0, 99), PRICES),
        st.tuples(st.just("unstored"), st.integers(0, 99), PRICES),
        st.tuples(st.just("anew"), st.integers(0, 99), PRICES),
    ),
    max_size=40,
)


@pytest.mark.parametrize("make", [resumable, machine])
@settings(deadline=None)
@given(
    commands=COMMANDS,
    workers=st.lists(st.integers(0, 2), min_size=1, max_size=7),
    warm_bytes=st.tuples(*[st.sampled_from([0, 3000, 64 * 1024 * 1024])] * 3),
    chunk_bytes=st.sampled_from([0, 700, 4096]),
    answers=st.sampled_from(["any", "awaited"]),
)
def test_a_journal_leads_to_what_whole_records_lead_to(
    make: Callable[..., Any],
    commands: Sequence[tuple[str, int, int]],
    workers: Sequence[int],
    warm_bytes: Sequence[int],
    chunk_bytes: int,
    answers: Answers,
) -> None:
    compared = Compared(make, warm_bytes=warm_bytes, chunk_bytes=chunk_bytes, answers=answers)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_journal_store, "_GARBAGE", 1000)
        patched.setattr(_state, "ARRIVED_AFTER", 4)
        asyncio.run(compared.play(commands, workers))


async def test_a_state_of_an_earlier_life_is_not_taken_for_this_one() -> None:
    """Although the workflow was begun anew under its id and has come as far."""
    memory = LeasedMemory(clock=FakeClock())
    remembers, other = resumable(memory), resumable(memory)
    first = start("tea")
    [asked, _] = await remembers.execute(first)
    await remembers.execute(reserved(asked, price=50, id="of the earlier life"))
    await memory.cleanup(first.subject)
    await other.execute(first)
    await other.execute(reserved(asked, price=60, id="of this life"))
    [done] = await remembers.execute(reserved(asked, price=ENDS))
    assert done.data == {"total": 60 + ENDS}


class Watched(LeasedMemory):
    """Notes above which chunk each lease was asked for."""

    def __init__(self) -> None:
        super().__init__(clock=FakeClock())
        self.asked_above: list[int] = []

    @override
    async def acquire(self, machine_id: str, *, after: int = 0) -> MachineLease | None:
        self.asked_above.append(after)
        return await super().acquire(machine_id, after=after)


@pytest.mark.parametrize("event", ["seen", "refused", "a violation", "cancelled"])
async def test_an_event_that_changes_nothing_forgets_nothing(event: str) -> None:
    async def fickle(call: AnyCall) -> Step[dict[str, Any]]:
        if isinstance(call, Start) or call.data.price == 1:
            return await flow(call)
        if event == "cancelled":
            raise asyncio.CancelledError
        raise ExecutionViolation("not now")

    memory = Watched()
    handler = order(fickle, memory=memory, services=SERVICES, answers="awaited")
    first = start("a", "b")
    asked, other, _ = await handler.execute(first)
    disturbing = {"seen": first, "refused": reserved(first)}.get(event, reserved(asked, price=2))
    with suppress(ExecutionViolation, asyncio.CancelledError):
        await handler.execute(disturbing)
    await handler.execute(reserved(other, price=1))
    await handler.execute(reserved(asked, price=1))
    assert memory.asked_above == [0, 1, 1, 2]


@pytest.mark.parametrize("chunk_bytes", [0, 100_000])
async def test_workers_in_turn_read_only_what_came_since(chunk_bytes: int) -> None:
    memory = InterceptedLeasedMemory(LeasedMemory(clock=FakeClock(), chunk_bytes=chunk_bytes))
    workers = [resumable(memory), resumable(memory)]
    first = start("a", "b", "c", "d")
    *requests, _ = await workers[0].execute(first)
    for number, request in enumerate(requests):
        await workers[number % 2].execute(reserved(request, price=30))
    assert memory.calls == ["acquire", "commit"] * 5


async def test_a_record_that_stands_alone_is_not_remembered_before_a_step() -> None:
    """Its entries have no name that would tell it from another one that is put in its place."""
    memory = LeasedMemory(clock=FakeClock())
    first = start("tea", "milk")
    remembers = resumable(memory)
    for price in (50, 60):
        plain = resumable(other := SimpleMachineMemory())
        [asked, last, _] = await plain.execute(first)
        await plain.execute(reserved(asked, price=price, id="the same"))
        record = await other.read(first.subject)
        assert record is not None
        await memory.write(first.subject, record, await memory.read(first.subject))
        if price == 50:
            await remembers.execute(first)
    await resumable(memory).execute(reserved(last, price=70))
    [done] = await remembers.execute(reserved(last, price=ENDS))
    assert done.data == {"total": 60 + 70 + ENDS}


class TestWhatIsRemembered:
    async def test_it_is_what_follows_from_entries_only(self) -> None:
        """A context is read with each record, may be large, and is not counted."""
        handler = resumable(LeasedMemory(clock=FakeClock()))
        first = start("tea")
        await handler.execute(first)
        warm = handler._execution._store._warm.take(first.subject)  # type: ignore[attr-defined]
        assert warm.last.number == 1
        assert (warm.state.members, warm.state.failure) == ({}, None)

    def state(self, size: int) -> WarmState:
        state = WorkflowState(subject="s", init_event_id="e1", parent_subject=None)
        return WarmState(state=state, last=START, last_chunk=1, closed=0, size=size)

    def test_the_least_recently_used_is_dropped(self) -> None:
        states = WarmStates(100)
        for name in ("a", "b"):
            states.put(name, self.state(40))
        taken = states.take("a")
        assert taken is not None
        states.put("a", taken)
        states.put("c", self.state(40))
        assert [states.last_chunk(name) for name in ("a", "b", "c")] == [1, 0, 1]

    def test_one_that_is_too_large_drops_no_other(self) -> None:
        states = WarmStates(100)
        states.put("a", self.state(40))
        states.put("b", self.state(101))
        assert [states.last_chunk(name) for name in ("a", "b")] == [1, 0]

    def test_what_is_taken_counts_no_longer(self) -> None:
        states = WarmStates(100)
        states.put("a", self.state(100))
        states.take("a")
        states.put("b", self.state(100))
        assert states.last_chunk("b") == 1
        assert states.take("a") is None
