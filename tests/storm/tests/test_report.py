"""Completions and bookings that the storm's report calls lost, double or wrong."""

from collections import Counter

from storm._contracts import CLIENT
from storm._expected import answer_of, init_of, ledger_of
from storm._report import Answers, Report

from arvo_core import ArvoEvent

INITS = [init_of(number) for number in range(3)]


def answer(number: int, *, event_id: str = "first", **data: int) -> ArvoEvent:
    return ArvoEvent.create(
        id=event_id,
        source="com.storm.test",
        type="arvo.orc.storm.done",
        subject=INITS[number].subject,
        to=CLIENT,
        data={**answer_of(number), **data},
    )


def judge(*events: ArvoEvent, sums: Counter[str] | None = None) -> Report:
    """Return the report of a storm of three workflows with these completions."""
    report = Report(workflows=len(INITS))
    answers = Answers({event.subject: number for number, event in enumerate(INITS)}, report)
    for event in events:
        answers.take(event)
    answers.close(sums=ledger_of(len(INITS)) if sums is None else sums, booked_again=0)
    return report


def test_every_workflow_completed_once_is_no_problem() -> None:
    report = judge(answer(0), answer(1), answer(2))
    assert (report.ok, report.completions, report.duplicates) == (True, 3, 0)


def test_the_same_completion_again_is_counted_as_duplicate() -> None:
    report = judge(answer(0), answer(1), answer(2), answer(1))
    assert (report.ok, report.completions, report.duplicates) == (True, 3, 1)


def test_a_completion_with_another_id_is_double() -> None:
    report = judge(answer(0), answer(1), answer(2), answer(1, event_id="second"))
    assert (report.doubles, report.duplicates) == (1, 0)
    assert report.problems == ["workflow 1 completed twice, differently"]


def test_a_completion_with_the_same_id_and_other_data_is_double() -> None:
    report = judge(answer(0), answer(1), answer(2), answer(1, receipt=0))
    assert report.problems == ["workflow 1 completed twice, differently"]


def test_a_workflow_without_completion_is_lost() -> None:
    assert judge(answer(0), answer(2)).problems == ["1 workflows lost: 1"]


def test_a_wrong_answer_is_reported() -> None:
    report = judge(answer(0), answer(1, amount=1), answer(2))
    assert report.wrong == 1
    [problem] = report.problems
    assert problem.startswith("workflow 1: ")


def test_an_answer_of_an_unknown_workflow_is_wrong() -> None:
    stranger = init_of(7)
    report = judge(answer(0), answer(1), answer(2), stranger)
    assert report.problems == [f"{stranger.type} of an unknown workflow"]


def test_every_wrong_sum_of_the_ledger_is_reported() -> None:
    sums = ledger_of(len(INITS))
    right = sums["charged"]
    sums["charged"] += 1
    sums["stolen"] = 5
    report = judge(answer(0), answer(1), answer(2), sums=sums)
    assert report.problems == [
        f"ledger: charged is {right + 1}, not {right}",
        "ledger: stolen is 5, not 0",
    ]


def test_all_figures_are_printed() -> None:
    report = judge(answer(0), answer(1), answer(2), answer(2), answer(0, event_id="second"))
    report.kills, report.freezes, report.handled, report.redelivered = 11, 12, 13, 14
    report.listings, report.unlisted = 15, 16
    printed = str(report)
    for figure in (
        "3 workflows over",
        "kills         11, and 12 freezes",
        "13 handled, 14 redelivered",
        "completions   3, and 1 duplicates",
        "wrong         0 answers, 1 double completions",
        "listings      15, with 16 workflows missing",
        "ledger        charged ",
        "FAILED        workflow 0 completed twice, differently",
    ):
        assert figure in printed
