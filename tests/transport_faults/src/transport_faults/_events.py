"""The events of the tests: numbered, over so many subjects."""

from collections.abc import Sequence
from typing import Final

from arvo_core import ArvoEvent

DONE: Final = "com.faults.done"
"""Where the outputs of handlers go."""


def numbered(
    numbers: range, *, to: str, subjects: int | None = None, **data: object
) -> Sequence[ArvoEvent]:
    """Return an event for each number.

    Those of one subject are numbered in the order in which they must be handled.

    Args:
        numbers: The numbers.
        to: The topic.
        subjects: How many subjects they share, in turns; None gives each its own.
        data: What the data of each says beside the number.
    """
    return [
        ArvoEvent.create(
            id=f"{to}-{number}",
            source="com.faults.main",
            type="com.faults.work",
            subject=f"subject-{number if subjects is None else number % subjects}",
            to=to,
            data={"number": number, **data},
        )
        for number in numbers
    ]


def number_of(event: ArvoEvent) -> int:
    """Return the number of an event, or of the one that it is the output of; -1 without one."""
    number: int = event.data.get("number", -1)
    return number


def output_of(cause: ArvoEvent) -> ArvoEvent:
    """Return what a handler emits for an event: the same each time."""
    return ArvoEvent.create(
        id=f"{cause.id}>done",
        source=cause.to or cause.type,
        type="evt.faults.work.done",
        subject=cause.subject,
        parentid=cause.id,
        to=DONE,
        data={"number": number_of(cause)},
    )
