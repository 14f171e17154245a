"""The key of a workflow in a machine memory."""

from arvo_event_handler._errors import TransactionViolation, TransactionViolationCause


def check_machine_id(machine_id: str) -> str:
    """Return a machine id that something can be stored under.

    Raises:
        TransactionViolation: It is empty; cause `INVALID_SUBJECT`.
    """
    if not machine_id:
        raise TransactionViolation(
            "a machine id must not be empty",
            cause=TransactionViolationCause.INVALID_SUBJECT,
            subject=machine_id,
        )
    return machine_id
