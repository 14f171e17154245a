"""Cases of handler suites in which time passes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from arvo_core import (
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ArvoResumable,
    Complete,
    ContractViolation,
    Due,
    Emit,
    ExecutionPolicy,
    ExecutionViolation,
    HandlerInput,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
    Timer,
)
from arvo_event_handler.testing import (
    ExpectedError,
    ExpectedEvent,
    HandlerCase,
    HandlerStep,
    HandlerSuite,
    TimeStep,
)
from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.testing import FakeClock

from .timed_memory import TimedMemory

DAY = timedelta(days=1)


class Bill(BaseModel):
    cents: int = 100


class Letter(BaseModel):
    number: int


class Closed(BaseModel):
    letters: int


WRITE_V1 = SimpleVersion("1.0.0", accepts=Letter, emits=Letter)
WRITE = SimpleArvoContract(uri="#/bills/write", type="letter.write", versions=[WRITE_V1])
BILL_V1 = OrchestratorVersion("1.0.0", init=Bill, complete=Closed)
BILL = ArvoOrchestratorContract(uri="#/bills/bill", name="bill", versions=[BILL_V1])


async def bill_v1(call: Start[Bill] | Reply[Letter] | Due[Letter]) -> Step[Letter]:
    """Write a letter on each day, and end two days after a letter was answered."""
    daily = Timer("daily", after=DAY)
    if isinstance(call, Start):
        return Step(context=Letter(number=0), timers=[daily])
    if isinstance(call, Reply):
        return Step(timers=[Timer("over", after=2 * DAY)], cancel=["daily"])
    if call.name == "over":
        return Step(output=Complete(Closed(letters=call.context.number)))
    letter = Letter(number=call.context.number + 1)
    return Step(context=letter, services=[Emit("com.letter.write", letter)], timers=[daily])


def bill(function: Any = bill_v1, *, clock: Clock | None = None, memory: Any = None) -> Any:
    ours = FakeClock()
    return ArvoResumable(
        contract=BILL,
        services=[WRITE.version(WRITE_V1)],
        memory=TimedMemory(clock=ours) if memory is None else memory,
        handler={"1.0.0": function},
        policy=ExecutionPolicy(clock=clock or ours),
    )


def answered(emitted: Sequence[Sequence[ArvoEvent]]) -> ArvoEvent:
    request = emitted[-1][-1]
    return ArvoEventFactory(WRITE.version(WRITE_V1)).emits(
        type="evt.letter.write.success",
        source="com.letter.write",
        subject=request.subject,
        parentid=request.id,
        to=request.source,
        data=Letter(number=9),
    )


INIT = ArvoOrchestratorEventFactory(BILL.version(BILL_V1)).init(source="com.app.test", data=Bill())
BEGIN = HandlerStep(input=INIT, expects=[])


def letter(number: int) -> ExpectedEvent:
    return ExpectedEvent(type="com.letter.write", data={"number": number})


SUITE = HandlerSuite(
    make_handler=bill,
    cases=[
        HandlerCase(
            name="writes a letter on each day until one is answered",
            steps=[
                BEGIN,
                TimeStep(advance=timedelta(hours=23), expects=[]),
                TimeStep(advance=timedelta(hours=1), expects=[letter(1)]),
                TimeStep(advance=3 * DAY, expects=[letter(2), letter(3), letter(4)]),
                HandlerStep(input=answered, expects=[]),
                TimeStep(advance=2 * DAY - timedelta(milliseconds=1), expects=[]),
                TimeStep(
                    advance=timedelta(milliseconds=1),
                    expects=[ExpectedEvent(type=BILL.complete_type, data={"letters": 4})],
                ),
                TimeStep(advance=365 * DAY, expects=[]),
            ],
        )
    ],
)


@pytest.mark.parametrize("case", SUITE.cases, ids=str)
async def test_time_passes_between_events(case: HandlerCase) -> None:
    await SUITE.check(case)


async def failure(*steps: HandlerStep | TimeStep, make_handler: Any = bill) -> str:
    """Return how a case of these steps goes wrong; empty if it passes."""
    suite = HandlerSuite(make_handler=make_handler, cases=[HandlerCase(name="case", steps=steps)])
    [run] = (await suite.run_case(suite.cases[0])).runs
    return "" if run.failure is None else str(run.failure)


async def test_timers_of_one_moment_fire_one_after_another() -> None:
    async def two(call: Start[Bill] | Due[Bill]) -> Step[Bill]:
        if isinstance(call, Start):
            return Step(context=Bill(), timers=[Timer(name, after=DAY) for name in "ab"])
        return Step(services=[Emit("com.letter.write", Letter(number=ord(call.name)))])

    both = TimeStep(advance=DAY, expects=[letter(ord("a")), letter(ord("b"))])
    assert await failure(BEGIN, both, make_handler=lambda: bill(two)) == ""


async def test_a_failure_says_how_much_time_has_passed() -> None:
    assert await failure(BEGIN, TimeStep(advance=DAY, expects=[letter(2)])) == (
        "step 2, after 1 day, 0:00:00:\n"
        "  emitted event 1, data.number: expected 2, got 1\n"
        "  it emitted com.letter.write to 'com.letter.write': {'number': 1}"
    )


async def test_an_error_of_a_timer_is_expected_like_any_other_and_the_timer_comes_again() -> None:
    broken = [True]

    async def breaks(call: Start[Bill] | Reply[Letter] | Due[Letter]) -> Step[Letter]:
        if isinstance(call, Due) and broken:
            broken.clear()
            raise ExecutionViolation("no paper")
        return await bill_v1(call)

    steps: list[HandlerStep | TimeStep] = [
        BEGIN,
        TimeStep(advance=DAY, expects=ExpectedError(type=ExecutionViolation, message="paper")),
        TimeStep(advance=timedelta(seconds=29), expects=[]),
        TimeStep(advance=timedelta(seconds=1), expects=[letter(1)]),
    ]
    assert await failure(*steps, make_handler=lambda: bill(breaks)) == ""


async def test_an_error_that_is_not_expected_is_a_difference() -> None:
    async def breaks(call: Start[Bill] | Due[Bill]) -> Step[Bill]:
        if isinstance(call, Due):
            raise ExecutionViolation("no paper")
        return Step(context=Bill(), timers=[Timer("a", after=DAY)])

    said = await failure(
        BEGIN, TimeStep(advance=DAY, expects=[]), make_handler=lambda: bill(breaks)
    )
    assert said == (
        "step 2, after 1 day, 0:00:00:\n"
        "  expected events, but it raised ExecutionViolation: no paper"
    )


async def test_an_error_that_does_not_come_is_a_difference() -> None:
    error = ExpectedError(type=ContractViolation)
    said = await failure(BEGIN, TimeStep(advance=timedelta(0), expects=error))
    assert "expected ContractViolation, but it raised nothing" in said


async def echo_v1(call: HandlerInput[Letter]) -> Emit:
    return Emit("evt.letter.write.success", call.data)


async def untimed(call: Start[Bill] | Reply[Bill]) -> Step[Bill]:
    return Step(context=Bill())


@pytest.mark.parametrize(
    ("make_handler", "said"),
    [
        (
            lambda: ArvoEventHandler(contract=WRITE, handler={"1.0.0": echo_v1}),
            "it is not the handler of workflows",
        ),
        (lambda: bill(clock=SYSTEM_CLOCK), "policy=ExecutionPolicy(clock=clock)"),
        (
            lambda: bill(untimed, memory=SimpleMachineMemory()),
            "SimpleMachineMemory has no index of what is due",
        ),
        (lambda: bill(memory=TimedMemory(clock=FakeClock())), "give the memory the clock"),
    ],
    ids=["stateless", "system clock", "no index", "another clock"],
)
async def test_a_handler_for_which_no_time_can_pass_is_named_with_the_remedy(
    make_handler: Any, said: str
) -> None:
    steps: list[HandlerStep | TimeStep] = [TimeStep(advance=DAY, expects=[])]
    if said.startswith("give"):
        steps = [BEGIN, *steps]
    # An error of any kind is expected, but not that the test is wrong.
    steps[-1] = TimeStep(advance=DAY, expects=ExpectedError(type=Exception))
    assert said in await failure(*steps, make_handler=make_handler)


@pytest.mark.parametrize(
    ("advance", "error"), [(-DAY, ValueError), (1, TypeError)], ids=["negative", "number"]
)
def test_time_that_cannot_pass_is_refused(advance: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="advance"):
        TimeStep(advance=advance, expects=[])
