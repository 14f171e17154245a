"""What a store keeps for reactions."""

from collections.abc import AsyncIterator
from typing import Protocol

from ._target import TargetState


class IReactionStore(Protocol):
    """The targets of reactions, which appends wake."""

    def targets(self, group: str, *, reaction: str | None = None) -> AsyncIterator[TargetState]:
        """List the targets of a group, in the order of reaction and key.

        Args:
            group: The group; one that does not exist has no targets.
            reaction: Only those of this reaction; None is all.

        Returns:
            An iterator of the targets, read in pages.

        Raises:
            TypeError: An argument is of another type.
            InvalidEventError: A name breaks the rules for names.
            StoreFailure: The database failed, or the store is closed.
        """
        ...
