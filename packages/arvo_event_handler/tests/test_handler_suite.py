import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import override

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
    Emit,
    ExecutionViolation,
    HandlerInput,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
)
from arvo_event_handler.testing import (
    ExpectedError,
    ExpectedEvent,
    HandlerCase,
    HandlerStep,
    HandlerSuite,
    Repeat,
)


class Add(BaseModel):
    numbers: list[float]


class Added(BaseModel):
    result: float
    history: list[dict[str, Any]] = []
    exact: bool = True


ADD_V1 = SimpleVersion("1.0.0", accepts=Add, emits=Added)
ADD = SimpleArvoContract(uri="#/org/math/add", type="math.add", versions=[ADD_V1])
ADDED = "evt.math.add.success"


async def add_v1(call: HandlerInput[Add]) -> Emit:
    if not call.data.numbers:
        raise ExecutionViolation("nothing to add")
    return Emit(
        ADDED,
        Added(
            result=sum(call.data.numbers), history=[{"number": each} for each in call.data.numbers]
        ),
    )


def add() -> ArvoEventHandler:
    return ArvoEventHandler(contract=ADD, handler={"1.0.0": add_v1}, executionunits=2)


def numbers(*values: float) -> ArvoEvent:
    return ArvoEventFactory(ADD.version(ADD_V1)).accepts(
        source="com.app.main", data=Add(numbers=list(values)), id="request-1"
    )


def suite(*cases: HandlerCase, make_handler: Callable[[], Any] = add) -> HandlerSuite:
    return HandlerSuite(make_handler=make_handler, cases=cases)


def one_step(
    event: Any, expects: Sequence[ExpectedEvent] | ExpectedError, name: str = "case"
) -> HandlerCase:
    return HandlerCase(name=name, steps=[HandlerStep(input=event, expects=expects)])


async def differences(event: Any, expects: Sequence[ExpectedEvent] | ExpectedError) -> list[str]:
    """Run one step and return what was wrong with it."""
    case = one_step(event, expects)
    [run] = (await suite(case).run_case(case)).runs
    return [] if run.failure is None else list(run.failure.differences)


def emitted_line(data: dict[str, object]) -> str:
    return f"        it emitted {ADDED} to 'com.app.main': {data}"


class TestOutcome:
    async def test_all_events_as_expected_pass(self) -> None:
        assert await differences(numbers(1, 2), [ExpectedEvent(data={"result": 3})]) == []

    async def test_a_difference_is_named_with_its_event(self) -> None:
        assert await differences(numbers(1), [ExpectedEvent(to="com.a", type=ADDED)]) == [
            "emitted event 1, to: expected 'com.a', got 'com.app.main'"
        ]

    @pytest.mark.parametrize("count", [0, 2])
    async def test_all_events_must_be_expected(self, count: int) -> None:
        assert await differences(numbers(1), [ExpectedEvent()] * count) == [
            f"expected {count} events, got 1"
        ]

    async def test_an_expected_error_passes(self) -> None:
        assert await differences(numbers(), ExpectedError(type=ExecutionViolation)) == []

    async def test_another_error_is_a_difference(self) -> None:
        assert await differences(numbers(), ExpectedError(type=ContractViolation)) == [
            "error: expected ContractViolation, got ExecutionViolation: nothing to add"
        ]

    async def test_no_error_at_all_is_a_difference(self) -> None:
        assert await differences(numbers(1), ExpectedError(type=ContractViolation)) == [
            "expected ContractViolation, but it raised nothing"
        ]

    async def test_an_unexpected_error_is_a_difference(self) -> None:
        assert await differences(numbers(), [ExpectedEvent()]) == [
            "expected events, but it raised ExecutionViolation: nothing to add"
        ]


class TestSteps:
    async def test_an_input_may_be_made_from_what_came_before(self) -> None:
        seen: list[list[int]] = []

        def double_the_last(emitted: Sequence[Sequence[ArvoEvent]]) -> ArvoEvent:
            seen.append([len(events) for events in emitted])
            result = emitted[-1][0].data["result"]
            assert isinstance(result, float)
            return numbers(result, result)

        case = HandlerCase(
            name="doubling",
            steps=[
                HandlerStep(input=numbers(1, 2), expects=[ExpectedEvent(data={"result": 3})]),
                HandlerStep(input=double_the_last, expects=[ExpectedEvent(data={"result": 6})]),
                HandlerStep(input=double_the_last, expects=[ExpectedEvent(data={"result": 12})]),
            ],
        )
        assert (await suite(case).run()).passed
        assert seen == [[1], [1, 1]]

    async def test_a_step_that_raised_as_expected_emitted_nothing(self) -> None:
        case = HandlerCase(
            name="error first",
            steps=[
                HandlerStep(input=numbers(), expects=ExpectedError(type=ExecutionViolation)),
                HandlerStep(
                    input=lambda emitted: numbers(len(emitted), len(emitted[0])),
                    expects=[ExpectedEvent(data={"result": 1})],
                ),
            ],
        )
        assert (await suite(case).run()).passed

    async def test_the_first_failing_step_ends_the_run(self) -> None:
        handled: list[str] = []

        class Counting(ArvoEventHandler):
            @override
            async def execute(self, event: ArvoEvent, **options: Any) -> list[ArvoEvent]:
                handled.append(event.id)
                return await super().execute(event, **options)

        case = HandlerCase(
            name="ends",
            steps=[
                HandlerStep(input=numbers(1), expects=[ExpectedEvent()]),
                HandlerStep(input=numbers(2), expects=[]),
                HandlerStep(input=numbers(3), expects=[ExpectedEvent()]),
            ],
        )
        counting = Counting(contract=ADD, handler={"1.0.0": add_v1})
        [run] = (await suite(case, make_handler=lambda: counting).run_case(case)).runs
        assert run.failure is not None
        assert run.failure.step == 2
        assert len(handled) == 2

    async def test_an_input_that_cannot_be_made_is_a_failure(self) -> None:
        def broken(emitted: Sequence[Sequence[ArvoEvent]]) -> ArvoEvent:
            return emitted[0][0]

        assert await differences(broken, ExpectedError(type=IndexError)) == [
            "the input could not be made: IndexError: list index out of range"
        ]


class TestRepeat:
    def sometimes(self, *outcomes: bool) -> HandlerSuite:
        """A suite over handlers that add rightly or wrongly, run by run."""
        right = iter(outcomes)

        def make_handler() -> ArvoEventHandler:
            error = 0 if next(right) else 1

            async def unreliable(call: HandlerInput[Add]) -> Emit:
                return Emit(ADDED, Added(result=sum(call.data.numbers) + error))

            return ArvoEventHandler(contract=ADD, handler={"1.0.0": unreliable})

        return HandlerSuite(make_handler=make_handler, cases=[])

    def case(self, repeat: Repeat) -> HandlerCase:
        step = HandlerStep(input=numbers(1, 2), expects=[ExpectedEvent(data={"result": 3})])
        return HandlerCase(name="adds", steps=[step], repeat=repeat)

    @pytest.mark.parametrize(("right", "passed"), [(10, True), (8, True), (7, False), (0, False)])
    async def test_enough_runs_must_pass(self, right: int, passed: bool) -> None:
        outcomes = [True] * right + [False] * (10 - right)
        case = self.case(Repeat(times=10, min_success=0.8))
        report = await self.sometimes(*outcomes).run_case(case)
        assert report.passed is passed
        assert report.success == right / 10
        assert [run.passed for run in report.runs] == outcomes

    async def test_all_runs_must_pass_unless_said(self) -> None:
        case = self.case(Repeat(times=3))
        assert not (await self.sometimes(True, True, False).run_case(case)).passed

    async def test_the_report_numbers_the_runs(self) -> None:
        case = self.case(Repeat(times=3, min_success=0.9))
        report = await self.sometimes(True, False, True).run_case(case)
        assert str(report).splitlines() == [
            "FAIL  adds (2 of 3 runs, 90% wanted)",
            "      run 2, step 1, given com.math.add 'request-1':",
            "        emitted event 1, data.result: expected 3, got 4.0",
            emitted_line({"result": 4.0, "history": [], "exact": True}),
        ]

    async def test_each_run_has_a_handler_of_its_own(self) -> None:
        made = itertools.count(1)

        def make_handler() -> ArvoEventHandler:
            next(made)
            return add()

        case = self.case(Repeat(times=4))
        await HandlerSuite(make_handler=make_handler, cases=[case]).run()
        assert next(made) == 5

    async def test_a_handler_that_cannot_be_made_fails_its_run_only(self) -> None:
        ports = iter([OSError("the port is taken"), None])

        def make_handler() -> ArvoEventHandler:
            if (error := next(ports)) is not None:
                raise error
            return add()

        report = await HandlerSuite(make_handler=make_handler, cases=[]).run_case(
            self.case(Repeat(times=2, min_success=0.5))
        )
        assert report.passed
        failure = report.runs[0].failure
        assert failure is not None
        assert str(failure) == (
            "step 1:\n  the handler could not be made: OSError: the port is taken"
        )

    @pytest.mark.parametrize("times", [0, -1])
    def test_zero_runs_are_refused(self, times: int) -> None:
        with pytest.raises(ValueError, match=f"times must be at least 1, got {times}"):
            Repeat(times=times)

    @pytest.mark.parametrize("share", [0, -0.1, 1.1, 80, float("nan")])
    def test_min_success_outside_0_to_1_is_refused(self, share: float) -> None:
        with pytest.raises(ValueError, match="min_success must be"):
            Repeat(times=10, min_success=share)


class TestSuite:
    async def test_the_report_reads_well(self) -> None:
        report = await suite(
            one_step(numbers(1, 2), [ExpectedEvent(data={"result": 3})], name="adds"),
            one_step(numbers(1, 2), [ExpectedEvent(data={"result": 4})], name="adds wrongly"),
            one_step(numbers(), [ExpectedEvent()], name="adds nothing"),
            one_step(lambda emitted: emitted[0][0], [], name="has no input"),
        ).run()
        assert not report.passed
        assert str(report).splitlines() == [
            "pass  adds",
            "FAIL  adds wrongly",
            "      step 1, given com.math.add 'request-1':",
            "        emitted event 1, data.result: expected 4, got 3.0",
            emitted_line(
                {"result": 3.0, "history": [{"number": 1.0}, {"number": 2.0}], "exact": True}
            ),
            "FAIL  adds nothing",
            "      step 1, given com.math.add 'request-1':",
            "        expected events, but it raised ExecutionViolation: nothing to add",
            "FAIL  has no input",
            "      step 1:",
            "        the input could not be made: IndexError: list index out of range",
            "1 of 4 cases passed",
        ]

    async def test_long_data_is_cut_in_the_report(self) -> None:
        report = await suite(one_step(numbers(*range(1_000)), [])).run()
        assert max(map(len, str(report).splitlines())) < 700
        assert "characters)" in str(report)

    async def test_check_passes_in_silence(self) -> None:
        case = one_step(numbers(1), [ExpectedEvent()])
        await suite(case).check(case)

    async def test_check_fails_the_test_around_it(self) -> None:
        case = one_step(numbers(), [], name="adds nothing")
        with pytest.raises(AssertionError, match="FAIL  adds nothing") as failed:
            await suite(case).check(case)
        assert isinstance(failed.value.__cause__, ExecutionViolation)

    def test_cases_are_named_in_the_test_ids(self) -> None:
        assert list(map(str, suite(one_step(numbers(1), [], name="adds")).cases)) == ["adds"]

    def test_two_cases_of_one_name_are_refused(self) -> None:
        with pytest.raises(ValueError, match="several cases are named 'twice'"):
            suite(*[one_step(numbers(1), [], name=name) for name in ("a", "twice", "twice")])

    def test_a_case_without_steps_is_refused(self) -> None:
        with pytest.raises(ValueError, match="case 'empty' has no steps"):
            HandlerCase(name="empty", steps=[])


# --- a workflow -------------------------------------------------------------


class Total(BaseModel):
    numbers: list[float]


class Totalled(BaseModel):
    total: float


class Asked(BaseModel):
    numbers: list[float]


TOTAL_V1 = OrchestratorVersion("1.0.0", init=Total, complete=Totalled)
TOTAL = ArvoOrchestratorContract(uri="#/org/math/total", name="math.total", versions=[TOTAL_V1])


async def total_v1(call: Start[Total] | Reply[Asked]) -> Step[Asked]:
    if isinstance(call, Start):
        asked = Asked(numbers=call.data.numbers)
        return Step(context=asked, services=[Emit(ADD.type, Add(numbers=asked.numbers))])
    [added] = call.replies(ADD_V1)
    return Step(output=Complete(Totalled(total=added.result)))


def total() -> ArvoResumable:
    return ArvoResumable(
        contract=TOTAL,
        services=[ADD.version(ADD_V1)],
        memory=SimpleMachineMemory(),
        handler={"1.0.0": total_v1},
    )


def answer(emitted: Sequence[Sequence[ArvoEvent]]) -> ArvoEvent:
    [request] = emitted[0]
    return ArvoEventFactory(ADD.version(ADD_V1)).emits(
        id="answer-1",
        type=ADDED,
        source=ADD.type,
        subject=request.subject,
        parentid=request.id,
        to=request.source,
        data=Added(result=42),
    )


WORKFLOW = HandlerSuite(
    make_handler=total,
    cases=[
        HandlerCase(
            name="asks the adder and completes with its answer",
            steps=[
                HandlerStep(
                    input=ArvoOrchestratorEventFactory(TOTAL.version(TOTAL_V1)).init(
                        source="com.app.main", data=Total(numbers=[40, 2])
                    ),
                    expects=[ExpectedEvent(type=ADD.type, data={"numbers": [40, 2]}, to=ADD.type)],
                ),
                HandlerStep(
                    input=answer,
                    expects=[
                        ExpectedEvent(
                            type="arvo.orc.math.total.done", data={"total": 42}, to="com.app.main"
                        )
                    ],
                ),
                HandlerStep(input=answer, expects=[ExpectedEvent(data={"total": 42})]),
            ],
            repeat=Repeat(times=3),
        ),
        HandlerCase(
            name="refuses an event of no workflow",
            steps=[
                HandlerStep(
                    input=ArvoEvent.create(
                        source="com.app.main", type="arvo.orc.math.total", subject="sum-1", data={}
                    ),
                    expects=ExpectedError(type=ExecutionViolation, message="subject"),
                )
            ],
        ),
    ],
)


@pytest.mark.parametrize("case", WORKFLOW.cases, ids=str)
async def test_a_workflow_is_tested_like_a_service(case: HandlerCase) -> None:
    await WORKFLOW.check(case)
