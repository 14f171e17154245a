"""The primary key of a workflow's row."""

import hashlib

from arvo_event_handler import TransactionViolation, TransactionViolationCause
from arvo_event_handler.memory import check_machine_id


def machine_key(machine_id: str) -> bytes:
    """Return the key of a machine id: short, whatever the length of the id.

    Raises:
        TransactionViolation: The id is empty or no text that PostgreSQL keeps; cause
            `INVALID_SUBJECT`.
    """
    if not is_storable(check_machine_id(machine_id)):
        raise TransactionViolation(
            "PostgreSQL cannot keep this machine id: it holds a NUL or half a character",
            cause=TransactionViolationCause.INVALID_SUBJECT,
            subject=machine_id,
        )
    return key_of(machine_id)


def key_of(machine_id: str) -> bytes:
    """Return the key of an id that is known to be storable."""
    return hashlib.blake2b(machine_id.encode(), digest_size=16).digest()


def is_storable(text: str) -> bool:
    """Tell whether a column of type text takes it."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
