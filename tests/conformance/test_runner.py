import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from conformance.areas import event
from conformance.cases import Case, load_cases
from conformance.comparison import Difference
from conformance.deviations import LIMIT, deviations
from conformance.memories import LeasedMemory, PlainMemory
from conformance.outcome import REFUSED, returned
from conformance.refusals import same_refusal

from arvo_core import ArvoEvent, FieldProblem, InvalidEventError, InvalidUriError, ViolationError
from arvo_core.event_id import EventId
from arvo_core.uri import decode_uri
from arvo_event_handler import (
    Complete,
    ConfigViolation,
    ContractViolation,
    Emit,
    Step,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_event_handler.memory import ILeasedMachineMemory
from arvo_event_handler.testing import record_write
from conformance import rules, steps


def write_area(folder: Path, area: str, *cases: dict[str, object]) -> None:
    filled = [{"input": {}, "expected": {"ok": None}, **case} for case in cases]
    (folder / f"{area}.json").write_text(json.dumps({"cases": filled}), "utf-8")


def test_only_areas_with_an_adapter_are_collected(tmp_path: Path) -> None:
    write_area(tmp_path, "uri", {"name": "a"})
    write_area(tmp_path, "astrology", {"name": "b"})
    assert [case.id for case in load_cases(tmp_path)] == ["uri::a"]


def test_a_folder_without_vectors_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        load_cases(tmp_path)


def test_cases_that_do_not_apply_to_python_are_skipped(tmp_path: Path) -> None:
    write_area(
        tmp_path,
        "uri",
        {"name": "plain", "input": {"value": {"$js": "-0"}}},
        {"name": "weak", "bug": "words", "input": {"value": {"$js": "map"}}},
        {"name": "foreign", "input": {"value": [{"$js": "map"}]}},
        {"name": "thrown", "input": {"rules": [{"throw": {"kind": "string", "message": "x"}}]}},
        {"name": "raised", "input": {"rules": [{"throw": {"kind": "Error", "message": "x"}}]}},
        {"name": "extra", "input": {"machines": [{"setupExtra": {}}]}},
    )
    assert {case.name: case.skipped for case in load_cases(tmp_path)} == {
        "plain": None,
        "weak": "documented weakness",
        "foreign": "JavaScript only",
        "thrown": "JavaScript only",
        "raised": None,
        "extra": "no counterpart",
    }


def test_deviations_are_few_and_have_reasons() -> None:
    assert len(deviations()) <= LIMIT
    assert all("::" in case and reason for case, reason in deviations().items())


REFUSALS = [
    ({"kind": "URIError"}, InvalidUriError("x")),
    ({"kind": "Error"}, ValueError("x")),
    ({"kind": "ViolationError<Contract>", "type": "Contract"}, ContractViolation("x")),
    ({"kind": "ViolationError<Custom>", "type": "Custom"}, ViolationError("x")),
    ({"kind": "ViolationError<Config>", "type": "Config", "mentions": ["b"]}, ConfigViolation("abc")),
    (
        {"kind": "ZodError", "issues": [{"path": ["a", 1]}, {"path": ["a", 1]}, {"path": []}]},
        InvalidEventError(
            "x",
            problems=[
                FieldProblem(path=(), message="y"),
                FieldProblem(path=("a", 1), message="z"),
            ],
        ),
    ),
    (
        {
            "kind": "ViolationError<OrchestratorTransaction>",
            "type": "OrchestratorTransaction",
            "cause": "LOCK_UNACQUIRED",
        },
        TransactionViolation("x", cause=TransactionViolationCause.LOCK_UNACQUIRED, subject="s"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "raised"), REFUSALS, ids=repr)
def test_refusals_that_agree(expected: dict[str, object], raised: Exception) -> None:
    same_refusal(expected, raised)


DISAGREEING = [
    ({"kind": "Error"}, KeyError("x")),
    ({"kind": "Error"}, UnicodeError("x")),
    ({"kind": "Error"}, ContractViolation("x")),
    ({"kind": "ZodError"}, TypeError("x")),
    ({"kind": "ViolationError<Contract>", "type": "Contract"}, ConfigViolation("x")),
    ({"kind": "ViolationError<Contract>", "type": "Contract"}, ViolationError("x")),
    ({"kind": "ViolationError<Contract>", "type": "Contract"}, ValueError("x")),
    ({"kind": "ViolationError<Config>", "type": "Config", "mentions": ["z"]}, ConfigViolation("a")),
    (
        {"kind": "ZodError", "issues": [{"path": ["a"]}]},
        InvalidEventError("x", problems=[FieldProblem(path=("b",), message="y")]),
    ),
    (
        {
            "kind": "ViolationError<OrchestratorTransaction>",
            "type": "OrchestratorTransaction",
            "cause": "LOCK_UNACQUIRED",
        },
        TransactionViolation("x", cause=TransactionViolationCause.LEASE_LOST, subject="s"),
    ),
]


@pytest.mark.parametrize(("expected", "raised"), DISAGREEING, ids=repr)
def test_refusals_that_differ(expected: dict[str, object], raised: Exception) -> None:
    with pytest.raises(Difference):
        same_refusal(expected, raised)


def test_a_missing_argument_may_be_a_type_error() -> None:
    same_refusal({"kind": "ZodError"}, TypeError("x"), may_miss_arguments=True)


def test_a_call_that_should_be_refused_and_is_not_is_a_difference() -> None:
    assert returned({"ok": "a"}, lambda: decode_uri("a")) == "a"
    assert returned({"error": {"kind": "URIError"}}, lambda: decode_uri("%")) is REFUSED
    with pytest.raises(Difference):
        returned({"error": {"kind": "URIError"}}, lambda: decode_uri("a"))
    with pytest.raises(InvalidUriError):
        returned({"ok": "%"}, lambda: decode_uri("%"))


async def test_a_vector_that_shows_something_else_fails() -> None:
    made = ArvoEvent.create(
        id="1", source="a.b", type="a.b.c", subject="s", data={}, time="2024-01-01T00:00:00Z"
    )
    shown = {
        "toJSON": made.to_dict(),
        "keyOrder": list(made.to_dict()),
        "extensions": {},
        "toString": made.to_json(),
        "otelAttributes": made.otel_attributes,
    }
    given = {**made.to_dict(), "id": {"deduplication": "DEVELOPER_MANAGED", "value": "1"}}
    await event.run(_case(given, shown))
    for name, value in (
        ("toJSON", {**made.to_dict(), "type": "a.b.d"}),
        ("keyOrder", list(reversed(made.to_dict()))),
        ("extensions", {"x": 1}),
        ("toString", made.to_json(indent=1)),
        ("otelAttributes", {}),
    ):
        with pytest.raises(Difference):
            await event.run(_case(given, {**shown, name: value}))


def _case(event: Mapping[str, object], ok: Mapping[str, object]) -> Case:
    return Case(area="event", name="x", input={"event": event}, expected={"ok": ok}, skipped=None)


async def test_a_plain_memory_records_its_calls_and_injects_faults() -> None:
    memory = PlainMemory()
    assert await memory.lock("m")
    assert memory.locked == ["m"]
    assert not await memory.lock("m")
    assert await memory.read("m") is None
    await memory.write("m", {"a": 1}, None)
    assert await memory.read("m") == {"a": 1}
    assert await memory.unlock("m")
    assert memory.calls == [
        "lock m -> true", "lock m -> false", "read m -> null", "write m", "read m -> record",
        "unlock m -> true",
    ]  # fmt: skip
    memory.begin_step({"lock": "deny", "read": "error", "write": "error-once", "unlock": "error"})
    assert not await memory.lock("m")
    for call in (memory.read("m"), memory.write("m", {}, {"a": 1}), memory.unlock("m")):
        with pytest.raises(ConnectionError, match="injected"):
            await call
    await memory.write("m", {}, {"a": 1})
    assert memory.calls == [
        "lock m -> false", "read m -> throws", "write m -> throws", "unlock m -> throws", "write m",
    ]  # fmt: skip
    with pytest.raises(AssertionError, match="previous"):
        await memory.write("m", {}, {"a": 1})


async def test_a_leased_memory_grants_one_lease_and_injects_faults() -> None:
    memory = LeasedMemory(locking=True)
    assert isinstance(memory, ILeasedMachineMemory)
    lease = await memory.acquire("m")
    assert lease is not None
    assert await memory.acquire("m") is None
    await memory.commit(lease, record_write({"a": 1}))
    with pytest.raises(TransactionViolation, match="VERSION_MOVED"):
        await memory.commit(lease, record_write({"a": 2}))
    memory.begin_step({"unlock": "error"})
    held = await memory.acquire("m")
    assert held is not None
    assert held.record == {"a": 1}
    await memory.commit(held, record_write({"a": 2}))
    assert memory.locked == ["m"]


async def test_faults_of_the_lock_are_ignored_for_a_unit_that_takes_none() -> None:
    memory = LeasedMemory(locking=False)
    memory.begin_step({"lock": "error", "read": "error"})
    with pytest.raises(TransactionViolation, match="READ_MACHINE_MEMORY_FAILURE"):
        await memory.acquire("m")


@pytest.mark.parametrize("falsy", [None, False, 0, ""], ids=repr)
def test_a_value_that_is_falsy_in_javascript_becomes_none(falsy: object) -> None:
    assert rules.outputs(falsy) is None
    assert steps.step(falsy) is None
    assert steps.step({"output": falsy}) == Step()


def test_the_first_rule_that_applies_decides() -> None:
    listed: list[rules.Rule] = [
        {"when": {"$get": "no"}, "return": 1},
        {"return": {"$get": "n"}},
        {"return": 3},
    ]
    assert rules.apply(listed, {"n": 2}) == 2
    assert rules.apply(listed[:1], {}) is None
    assert rules.apply([{}], {}) is None
    assert rules.apply([{"return": {"$get": "missing"}}], {}) is None


@pytest.mark.parametrize(
    ("kind", "name", "raised"),
    [
        ("ContractViolation", None, "ContractViolation"),
        ("ViolationError", None, "ViolationError"),
        ("TypeError", None, "TypeError"),
        ("Error", "Custom", "Custom"),
    ],
)
def test_a_rule_raises_what_it_describes(kind: str, name: str | None, raised: str) -> None:
    thrown = {"kind": kind, "message": {"$concat": ["n is ", 1]}} | ({"name": name} if name else {})
    with pytest.raises(Exception, match="n is 1") as error:
        rules.apply([{"throw": thrown}], {})
    assert type(error.value).__name__ == raised


def test_outputs_keep_the_members_that_an_emit_has() -> None:
    item = {
        "type": "a.b.c", "data": {"x": 1}, "domain": ["d", None], "executionunits": 0,
        "id": {"deduplication": "ARVO_MANAGED", "value": "v"}, "__extensions": {"e": 1},
        "subject": "evil", "parentid": "evil",
    }  # fmt: skip
    assert rules.outputs([item]) == [
        Emit(
            "a.b.c",
            {"x": 1},
            domain=["d", None],
            executionunits=0,
            id=EventId.arvo_managed("v"),
            extensions={"e": 1},
        )
    ]
    assert rules.outputs({"data": {}}) == {"data": {}}


def test_steps_keep_the_members_that_a_step_has() -> None:
    returned = {
        "context": {"n": 1},
        "services": [{"type": "a.b.c", "data": {}, "time": "2020-01-01T00:00:00Z"}],
        "output": {"total": 1, "__domain": ["d"], "__id": "x", "__executionunits": 2},
    }
    assert steps.step(returned) == Step(
        context={"n": 1},
        services=[Emit("a.b.c", {})],
        output=Complete(
            {"total": 1}, id=EventId.developer_managed("x"), domain=["d"], executionunits=2
        ),
    )
    assert steps.step({"context": None, "services": []}) == Step()
