"""Which workflows one wants to see."""

from collections.abc import Container, Set as AbstractSet
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final, get_args

from ._stored_workflow import StoredWorkflow
from ._summary import WorkflowStatus

_STATUSES: Final = get_args(WorkflowStatus)
_TEXTS: Final = ("source", "root", "key", "waits_for", "error")
_TIMES: Final = ("started_after", "started_before", "no_step_since")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowQuery:
    """Which workflows a listing or a count is about: those to which all of this applies.

    The default is all workflows.

    Raises:
        TypeError: A field has another type; a single status must be in a set too.
        ValueError: A status is unknown, a string is empty, is not valid Unicode or contains NUL, or a
            time has no time zone.

    Example:
        >>> WorkflowQuery(status=frozenset({"active"}), source="arvo.orc.order").status
        frozenset({'active'})
    """

    status: AbstractSet[WorkflowStatus] = frozenset()
    """Only workflows of these statuses; empty means all."""
    source: str | None = None
    """Only workflows of this type."""
    root: str | None = None
    """Only the workflow with this subject and those below it, at every depth."""
    key: str | None = None
    """Only workflows with this key."""
    waits_for: str | None = None
    """Only workflows that wait for this event type."""
    error: str | None = None
    """Only workflows that failed with an error of this name."""
    started_after: datetime | None = None
    """Only workflows started later than this; a datetime with a time zone."""
    started_before: datetime | None = None
    """Only workflows started earlier than this; a datetime with a time zone."""
    no_step_since: datetime | None = None
    """Only workflows whose last step was earlier than this; a datetime with a time zone."""

    def __post_init__(self) -> None:
        """Check every field."""
        # A str is refused for what it is, not for its letters.
        if not isinstance(self.status, AbstractSet):
            raise TypeError(f"status must be a set of statuses, got {self.status!r}")
        for status in self.status:
            if status not in _STATUSES:
                raise ValueError(f"status must be of {', '.join(_STATUSES)}, got {status!r}")
        object.__setattr__(self, "status", frozenset(self.status))
        for name in _TEXTS:
            _check_text(getattr(self, name), name=name)
        for name in _TIMES:
            _check_time(getattr(self, name), name=name)

    @property
    def statuses(self) -> frozenset[WorkflowStatus]:
        """The statuses that are wanted, all if none are named."""
        return frozenset(self.status or _STATUSES)

    def matches(self, workflow: StoredWorkflow) -> bool:
        """Return whether a workflow is one of those."""
        return (
            (not self.status or workflow.status in self.status)
            and self.source in {None, workflow.source}
            and self.root in {None, workflow.root}
            and self.key in {None, workflow.key}
            and (self.waits_for is None or self.waits_for in workflow.waits_for)
            and self.error in {None, workflow.error}
            and (self.started_after is None or workflow.created_at > self.started_after)
            and (self.started_before is None or workflow.created_at < self.started_before)
            and (self.no_step_since is None or workflow.updated_at < self.no_step_since)
        )

    def check_answerable(self, memory: str, *, lacks: Container[str]) -> None:
        """Check that a memory can answer this.

        Args:
            memory: Its name, for the error.
            lacks: The fields by which it cannot search.

        Raises:
            ValueError: One of those fields is set.
        """
        for field in fields(self):
            if field.name in lacks and getattr(self, field.name) is not None:
                raise ValueError(
                    f"{memory} cannot search by {field.name}; leave it out, and look through "
                    "the pages"
                )


def _check_text(text: object, *, name: str) -> None:
    if text is None:
        return
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a string or None, got {text!r}")
    if not text:
        raise ValueError(f"{name} must not be empty; None means any")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} must be valid Unicode: {error.reason} in {text!r}") from None
    if "\0" in text:
        raise ValueError(f"{name} must not contain NUL, got {text!r}")


def _check_time(time: object, *, name: str) -> None:
    if time is None:
        return
    if not isinstance(time, datetime):
        raise TypeError(f"{name} must be a datetime or None, got {time!r}")
    if time.utcoffset() is None:
        raise ValueError(
            f"{name} must have a time zone, got {time!r}; write for example datetime.now(UTC)"
        )
