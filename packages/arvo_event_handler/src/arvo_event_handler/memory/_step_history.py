"""What a memory tells about the steps of its workflows, for people and for tools."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, runtime_checkable

from pydantic import JsonValue

from arvo_time.settings import check_count, check_duration

from ._kept_event import WireEvent
from ._memory import check_machine_id

MOST_STEPS: Final = 1000
"""How many steps a page may hold."""
MOST_SUBJECTS: Final = 1000
"""Of how many workflows the times can be asked for together."""
MOST_TIMES: Final = 64
"""How many times are shown of each workflow."""
_LONGEST: Final = timedelta(days=3650)
_FAR: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStep:
    """One step of a workflow: what it consumed, what it emitted, and where the workflow stood then."""

    number: int
    """Counted from 1 within the workflow. A step that failed has the number after the last one, which
    its retry gets."""
    version: int
    """The version of the record that it was stored with."""
    at: datetime | None
    """When it was stored, in UTC; None when that is not known, as of an imported workflow."""
    took: timedelta | None
    """How long the workflow's own code ran; None for a step that failed, and where the memory kept no
    history at the time."""
    consumed: WireEvent
    """The event, as on the wire."""
    produced: tuple[WireEvent, ...]
    """The events that it emitted, as on the wire, in their order."""
    state: JsonValue
    """A machine's state value after the step; None for a resumable, and where it is not known."""
    context: JsonValue
    """The workflow's context after the step; None also where it is not known."""
    has_state: bool
    """Whether `state` and `context` are known. They are of the latest step, and of each step that was
    stored with history on and left at most 16 KiB of them."""
    state_bytes: int | None
    """How many bytes of JSON `state` and `context` had where that was too much to keep; otherwise
    None."""
    error: JsonValue
    """What user code raised, by name, message and stack, where the step failed; otherwise None."""


@runtime_checkable
class IStepHistory(Protocol):
    """A memory that can be asked what happened in a workflow, step by step.

    Optional for memories: ask `isinstance(memory, IStepHistory)`. Verify yours with
    `arvo_event_handler.testing.StepHistorySuite`. Steps come from the journal that workflows run on, and
    from no second store. So a step that is shown was committed, and one that was committed is shown
    until it is forgotten.

    Without history a memory tells what it has anyway: the steps that a workflow which has not ended
    still needs. With `history` on, it also keeps what is not needed any more, and the journals of
    workflows that have completed.
    """

    @property
    def history(self) -> timedelta | None:
        """For how long steps are kept that nobody needs any more; None keeps none of them.

        A commit that frees chunks keeps them, with the time at which they were freed, and deletes those
        whose time is longer ago than this. Arvo looks at this to store in each entry what the state was
        and how long the step took, to close the journal of a workflow that completes, and to let no
        record expire before its history.
        """
        ...

    async def steps(self, subject: str, *, after: int = 0, limit: int = 200) -> list[StoredStep]:
        """Return steps of one workflow, oldest first; an empty list if none is stored.

        Args:
            subject: The workflow's.
            after: The number of the last step that is not wanted; pass that of the last one of a page
                to get the next page. A negative number counts from the end: -20 is the last 20.
            limit: How many at most, 1 to 1000.

        Raises:
            TypeError: An argument has another type.
            ValueError: `limit` is out of range.
            TransactionViolation: `subject` is empty; cause `INVALID_SUBJECT`.
            UnreadableRecordError: What is stored is damaged.
            MachineMemoryError: The backend could not answer.
        """
        ...

    async def times(self, subjects: Collection[str]) -> dict[str, list[datetime]]:
        """Return when the latest steps of several workflows were stored, oldest first, in UTC.

        Only the end of each journal is read, in one query for all. So these are at most the 64 newest of
        each, and fewer where the journal is written in small pieces.

        Args:
            subjects: The workflows', at most 1000.

        Returns:
            A list for each of them; an empty one where nothing is stored, or it is damaged.

        Raises:
            TypeError: `subjects` is a string, or one of them is not.
            ValueError: They are more than 1000.
            TransactionViolation: One is empty; cause `INVALID_SUBJECT`.
            MachineMemoryError: The backend could not answer.
        """
        ...


def check_history(history: timedelta | None, *, read_only: bool = False) -> timedelta | None:
    """Check the setting `history` of a memory.

    Args:
        history: The setting.
        read_only: Whether the memory is opened to be read only.

    Raises:
        TypeError: It is neither a timedelta nor None.
        ValueError: It is not above zero, or above ten years, or set where nothing is written.

    Example:
        >>> check_history(timedelta(days=7))
        datetime.timedelta(days=7)
    """
    if history is None:
        return None
    check_duration(history, name="history", above_zero=True, most=_LONGEST)
    if read_only:
        raise ValueError(
            "history is what a memory keeps as it writes, so it cannot be set with read_only; leave "
            "it out: steps that others keep are shown anyway"
        )
    return history


def history_of(memory: object) -> timedelta | None:
    """Return for how long a memory keeps steps that nobody needs any more; None if not at all."""
    return memory.history if isinstance(memory, IStepHistory) else None


def check_subjects(subjects: Collection[str]) -> list[str]:
    """Check the argument of `IStepHistory.times`, and return each subject once.

    Raises:
        TypeError: It is a string, or one of them is not.
        ValueError: They are more than 1000.
        TransactionViolation: One is empty; cause `INVALID_SUBJECT`.

    Example:
        >>> check_subjects(["order-7", "order-8", "order-7"])
        ['order-7', 'order-8']
    """
    if isinstance(subjects, str):
        raise TypeError(
            f"subjects must be a collection of strings, got the string {subjects!r:.40}"
        )
    listed = list(dict.fromkeys(subjects))
    check_count(len(listed), name="the number of subjects", most=MOST_SUBJECTS)
    for subject in listed:
        if not isinstance(subject, str):
            raise TypeError(f"a subject must be a str, got {subject!r:.40}")
        check_machine_id(subject)
    return listed


def check_page(after: int, *, limit: int) -> None:
    """Check the arguments of `IStepHistory.steps`.

    Raises:
        TypeError: One is not an int.
        ValueError: `limit` is out of range, or `after` is further than any step.
    """
    check_count(after, name="after", least=-_FAR, most=_FAR)
    check_count(limit, name="limit", least=1, most=MOST_STEPS)
