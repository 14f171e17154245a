"""Whether user code could read all that it asked for of what is stored."""

from typing import TypeVar

from arvo_core import ViolationError

V = TypeVar("V", bound=ViolationError)


class StoredReads:
    """Remembers the first violation that reading stored data raised inside user code.

    What a function then decides is decided without what it asked for. So the step does not count,
    even if the function has swallowed the violation or made an exception of its own of it.
    """

    __slots__ = ("failure",)

    def __init__(self) -> None:
        self.failure: ViolationError | None = None
        """The first; None while all could be read."""

    def failed(self, violation: V) -> V:
        """Take note of a violation, and return it to be raised."""
        self.failure = self.failure or violation
        return violation
