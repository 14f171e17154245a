"""Waiting for changes of a file."""

from datetime import timedelta

from arvo_time.settings import check_count, check_duration

from ._file import OnFile


class FileWakeUps(OnFile):
    """The `IWakeUps` of a file."""

    @property
    def changes(self) -> int:
        """See `IWakeUps.changes`."""
        return self._file.changes.count

    async def wait_for_change(self, *, seen: int, at_most: timedelta) -> bool:
        """See `IWakeUps.wait_for_change`.

        Changes of other processes, and of other stores on the same client, are found by looking at the
        file every 25 ms, or every 50 ms when nobody has committed for a minute.
        """
        check_count(seen, name="seen")
        check_duration(at_most, name="at_most")
        self._file.check_open()
        changes, clock = self._file.changes, self._file.clock
        until = clock.monotonic() + at_most.total_seconds()
        while changes.count <= seen:
            changes.compare(await self._file.read(None, changes.look))
            left = until - clock.monotonic()
            if left <= 0:
                break
            pause = min(changes.pause.total_seconds(), left)
            await changes.wait(seen=seen, at_most=timedelta(seconds=pause))
        return changes.count > seen
