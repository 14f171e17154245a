"""What the storm of timers calls wrong."""

from datetime import timedelta

import pytest
from storm._contracts import CLIENT
from storm._report import Answers, Report
from storm._waiting import Patience

from arvo_core import ArvoEvent

PATIENCE = Patience(timers=5, within=timedelta(seconds=1))
INIT = PATIENCE.init_of(0)
DELAYS: list[int] = INIT.data["delays"]
GIVE_UP: list[int] = INIT.data["give_up"]
KEPT = [timer for timer in range(5) if timer not in GIVE_UP]


def answer(fired: list[int], cancelled: list[int]) -> ArvoEvent:
    data = {"workflow": 0, "fired": fired, "cancelled": cancelled}
    return ArvoEvent.create(
        id="first",
        source="arvo.orc.storm.wait",
        type="arvo.orc.storm.wait.done",
        subject=INIT.subject,
        to=CLIENT,
        data=data,
    )


def in_order(timers: list[int]) -> list[int]:
    return sorted(timers, key=lambda timer: DELAYS[timer])


def test_the_plan_gives_up_some_timers_and_keeps_some() -> None:
    assert GIVE_UP
    assert len(KEPT) >= 1


@pytest.mark.parametrize(
    "given_up", [[], GIVE_UP[:1], GIVE_UP], ids=["nothing", "one", "all that was asked"]
)
def test_any_timers_may_be_cancelled_that_were_given_up(given_up: list[int]) -> None:
    fired = in_order([timer for timer in range(5) if timer not in given_up])
    assert PATIENCE.complaint(0, answer(fired, given_up)) is None


@pytest.mark.parametrize(
    ("fired", "cancelled", "said"),
    [
        (in_order(KEPT), GIVE_UP[1:], "of 5 timers"),
        (in_order([*range(5)]), GIVE_UP[:1], "of 5 timers"),
        (in_order(GIVE_UP), KEPT, "unasked"),
        (in_order([*range(5)])[::-1], [], "in the wrong order"),
    ],
    ids=["lost", "fired and cancelled", "cancelled unasked", "latest first"],
)
def test_what_is_wrong_with_an_answer_is_said(
    fired: list[int], cancelled: list[int], said: str
) -> None:
    complaint = PATIENCE.complaint(0, answer(fired, cancelled))
    assert complaint is not None
    assert said in complaint


def test_a_workflow_that_failed_is_wrong() -> None:
    failed = answer([], []).model_copy(update={"data": {"errorName": "RuntimeError"}})
    assert PATIENCE.complaint(0, failed) is not None


def test_a_timer_that_rang_twice_is_seen_in_the_ledger() -> None:
    report = Report(workflows=1)
    answers = Answers({INIT.subject: 0}, report, PATIENCE)
    fired = in_order(KEPT)
    answers.take(answer(fired, GIVE_UP))
    answers.close(sums={"rung": len(fired) + 1}, booked_again=0)
    assert report.problems == [f"ledger: rung is {len(fired) + 1}, not {len(fired)}"]
