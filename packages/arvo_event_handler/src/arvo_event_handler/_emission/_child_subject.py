"""The subject under which a workflow starts another one."""

from typing import Any

from arvo_core import (
    PARENT_SUBJECT,
    ArvoOrchestrationSubject,
    InvalidSubjectError,
    VersionedArvoContract,
)
from arvo_core.event_id import derive_id
from arvo_event_handler._errors import ExecutionViolation


def child_subject(
    contract: VersionedArvoContract[Any],
    event_id: str,
    domain: str | None,
    *,
    parent: str | None,
    initiator: str,
    redirectto: str | None,
) -> str:
    """Return a child workflow's subject; the same init event always gives the same one.

    Args:
        contract: The child's contract version.
        event_id: The id of the init event.
        domain: The domain the init event goes to; None stays inside.
        parent: The subject of the workflow the child belongs to; None starts a root workflow.
        initiator: The source of the asker.
        redirectto: Where the child's completion goes; None for the initiator.

    Raises:
        ExecutionViolation: `parent` is not an orchestration subject, or another part is wrong.
    """
    # Derived, so that a repeated run starts the same child.
    execution_id = derive_id(event_id, "execution")
    meta = None if redirectto is None else {"redirectto": redirectto}
    try:
        if parent is None:
            return ArvoOrchestrationSubject.new(
                orchestrator=contract.type,
                version=contract.version,
                initiator=initiator,
                domain=domain,
                meta=meta,
                execution_id=execution_id,
            )
        return ArvoOrchestrationSubject.from_parent(
            orchestrator=contract.type,
            version=contract.version,
            subject=parent,
            domain=domain,
            meta=meta,
            execution_id=execution_id,
        )
    except InvalidSubjectError as error:
        raise ExecutionViolation(
            f"{contract.type}: cannot make the child's subject from {PARENT_SUBJECT}; "
            f"pass this workflow's own subject or None. {error}"
        ) from error
