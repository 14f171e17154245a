"""Being told that a store changed."""

from datetime import timedelta
from typing import Protocol, runtime_checkable


@runtime_checkable
class IWakeUps(Protocol):
    """A store that says when there may be work, so that workers need not wait for their next look."""

    @property
    def changes(self) -> int:
        """How often this client was told of a change; only grows."""
        ...

    async def wait_for_change(self, *, seen: int, at_most: timedelta) -> bool:
        """Wait until there is a change after those that were seen.

        Appends, marks that were raised and targets that an operator set going are changes, also those
        of other processes. One may be told twice, and one may be missed: a worker looks from time
        to time anyway.

        Args:
            seen: `changes` as it was before the caller looked for work.
            at_most: How long to wait.

        Returns:
            Whether there was one.
        """
        ...
