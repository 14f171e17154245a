import re

import pytest

from arvo_core import ArvoEvent, ViolationError
from arvo_event_handler import ContractViolation, ExecutionViolation
from arvo_event_handler.testing import ExpectedError, ExpectedEvent

ADDED = "evt.math.add.success"
EVENT = ArvoEvent.create(
    source="com.math.add",
    type=ADDED,
    subject="sum-1",
    to="com.app.main",
    parentid="request-1",
    dataschema="#/org/math/add/1.0.0",
    executionunits=2,
    data={
        "result": 3.0,
        "history": [{"number": 1.0}, {"number": 2.0}],
        "exact": True,
        "note": None,
    },
)


def is_even(number: float) -> bool:
    return number % 2 == 0


def says_why(number: float) -> bool:
    assert number > 100, "too small"
    return True


def asked_by_the_app(event: ArvoEvent) -> bool:
    return event.to == "com.app.main"


def answered_by_the_app(event: ArvoEvent) -> bool:
    return event.source == "com.app.main"


def without_address(value: object) -> str:
    """Identify a parameter alike in every process."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))


class TestExpectedEvents:
    @pytest.mark.parametrize(
        "expected",
        [
            ExpectedEvent(),
            ExpectedEvent(type=ADDED, source="com.math.add", to="com.app.main"),
            ExpectedEvent(parentid="request-1", dataschema="#/org/math/add/1.0.0"),
            ExpectedEvent(domain=None, redirectto=None, accesscontrol=None, executionunits=2),
            ExpectedEvent(data={}),
            ExpectedEvent(data={"result": 3, "exact": True, "note": None}),
            ExpectedEvent(data={"history": [{"number": 1}, {}]}),
            ExpectedEvent(data={"result": ..., "history": ...}),
            ExpectedEvent(data={"result": float, "history": list, "exact": bool}),
            ExpectedEvent(data={"result": pytest.approx(3.0000001)}),
            ExpectedEvent(data={"result": lambda number: number > 2}),
            ExpectedEvent(where=asked_by_the_app),
        ],
        ids=without_address,
    )
    def test_what_fits_passes(self, expected: ExpectedEvent) -> None:
        assert expected.differences(EVENT) == []

    @pytest.mark.parametrize(
        ("expected", "difference"),
        [
            (ExpectedEvent(type="evt.a"), f"type: expected 'evt.a', got '{ADDED}'"),
            (ExpectedEvent(to=None), "to: expected None, got 'com.app.main'"),
            (ExpectedEvent(domain="human"), "domain: expected 'human', got None"),
            (ExpectedEvent(subject="a"), "subject: expected 'a', got "),
            (ExpectedEvent(source="com.a"), "source: expected 'com.a', got 'com.math.add'"),
            (ExpectedEvent(id="a"), "id: expected 'a', got "),
            (ExpectedEvent(parentid="a"), "parentid: expected 'a', got 'request-1'"),
            (ExpectedEvent(executionunits=1), "executionunits: expected 1, got 2"),
            (ExpectedEvent(accesscontrol="a"), "accesscontrol: expected 'a', got None"),
            (ExpectedEvent(redirectto="com.a"), "redirectto: expected 'com.a', got None"),
            (ExpectedEvent(dataschema="#/a/1.0.0"), "dataschema: expected '#/a/1.0.0', got "),
            (ExpectedEvent(data={"result": 4}), "data.result: expected 4, got 3.0"),
            (ExpectedEvent(data={"result": None}), "data.result: expected None, got 3.0"),
            (ExpectedEvent(data={"unit": ...}), "data.unit: missing"),
            (ExpectedEvent(data={"exact": 1}), "data.exact: expected 1, got True"),
            (ExpectedEvent(data={"result": {"a": 1}}), "data.result: expected an object, got 3.0"),
            (ExpectedEvent(data={"result": [3]}), "data.result: expected a list, got 3.0"),
            (ExpectedEvent(data={"history": []}), "data.history: expected 0 items, got 2: [{"),
            (
                ExpectedEvent(data={"history": [{"number": 1}, {"number": 9}]}),
                "data.history.1.number: expected 9, got 2.0",
            ),
            (ExpectedEvent(data={"result": str}), "data.result: expected str, got 3.0"),
            (ExpectedEvent(data={"exact": int}), "data.exact: expected int, got True"),
            (ExpectedEvent(data={"result": is_even}), "data.result: is_even does not accept 3.0"),
            (
                ExpectedEvent(data={"result": says_why}),
                "data.result: says_why does not accept 3.0: AssertionError: too small",
            ),
            (
                ExpectedEvent(data={"history": is_even}),
                "data.history: is_even does not accept [{'number': 1.0}, {'number': 2.0}]: TypeErr",
            ),
            (ExpectedEvent(where=answered_by_the_app), "event: answered_by_the_app does not acc"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_differs_is_named_with_its_path(
        self, expected: ExpectedEvent, difference: str
    ) -> None:
        [found] = expected.differences(EVENT)
        assert found.startswith(difference)

    def test_every_difference_is_named(self) -> None:
        expected = ExpectedEvent(to="com.a", data={"result": 4, "unit": "kg"})
        found = expected.differences(EVENT)
        assert [line.partition(":")[0] for line in found] == [
            "data.result",
            "data.unit",
            "to",
        ]


class TestExpectedErrors:
    @pytest.mark.parametrize(
        "expected",
        [
            ExpectedError(type=ExecutionViolation),
            ExpectedError(type=ViolationError),
            ExpectedError(type=ExecutionViolation, message="nothing to"),
        ],
        ids=repr,
    )
    def test_what_fits_passes(self, expected: ExpectedError) -> None:
        assert expected.differences(ExecutionViolation("nothing to add")) == []

    @pytest.mark.parametrize(
        ("expected", "difference"),
        [
            (
                ExpectedError(type=ContractViolation),
                "error: expected ContractViolation, got ExecutionViolation: nothing to add",
            ),
            (
                ExpectedError(type=ExecutionViolation, message="too much"),
                "error: expected a message with 'too much', got 'nothing to add'",
            ),
        ],
        ids=["type", "message"],
    )
    def test_what_differs_is_named(self, expected: ExpectedError, difference: str) -> None:
        assert expected.differences(ExecutionViolation("nothing to add")) == [difference]
