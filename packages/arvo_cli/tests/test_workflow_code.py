"""What a target's code says about stored workflows."""

import door
import porter
import pytest
import tally

from arvo_cli._target._workflow_code import WorkflowCode, WorkflowCodes
from arvo_core import ArvoOrchestrationSubject
from arvo_event_handler import SimpleMachineMemory


def subject(name: str, version: str) -> str:
    return ArvoOrchestrationSubject.new(
        orchestrator=name, version=version, initiator="com.test.main"
    )


CODES = WorkflowCodes(
    handler
    for module in (porter, tally)
    for handler in module.create_handlers(SimpleMachineMemory())
)
CODES_OF_ONE_VERSION = WorkflowCodes(door.create_handlers(SimpleMachineMemory(), flavour="first"))


def test_a_machine_has_a_chart_and_services_that_answer() -> None:
    assert CODES.of(subject("arvo.orc.porter", "1.0.0")) == WorkflowCode(
        answering=frozenset({"com.bell.ring"}), machine_definition=porter.machine.definition
    )


def test_a_function_has_services_only() -> None:
    assert CODES.of(subject("arvo.orc.tally", "1.0.0")) == WorkflowCode(
        answering=frozenset({tally.count.type, tally.ask.type})
    )


@pytest.mark.parametrize(
    "stored",
    [subject("arvo.orc.door", "2.0.0"), subject("arvo.orc.other", "1.0.0"), "order-7"],
    ids=["another version", "another workflow", "not a subject"],  # subjects are random
)
def test_of_unknown_code_nothing_is_known(stored: str) -> None:
    assert CODES_OF_ONE_VERSION.of(stored) == WorkflowCode()
