"""What operators do with streams in memory."""

from collections.abc import AsyncIterator

from arvo_event_store._stream import StreamHead
from arvo_event_store.stores import (
    check_name,
    check_no_work,
    check_prefix,
    missing_stream,
    truncation,
)

from ._contents import InMemory
from ._stream import Stream


class MemoryStreamAdmin(InMemory):
    """The `IStreamAdmin` in memory."""

    async def streams(self, *, prefix: str = "") -> AsyncIterator[StreamHead]:
        """See `IStreamAdmin.streams`."""
        self._check_open()
        check_prefix(prefix, path="prefix")
        for name in sorted(name for name in self._streams if name.startswith(prefix)):
            await self._turn()
            if name in self._streams:
                yield self._streams[name].head()

    async def close_stream(self, stream: str) -> None:
        """See `IStreamAdmin.close_stream`."""
        found = self._existing(stream)
        if found.closed is None:
            self._check_no_work(stream)
            found.closed = self._clock.now()

    async def reopen_stream(self, stream: str) -> None:
        """See `IStreamAdmin.reopen_stream`."""
        self._existing(stream).closed = None

    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        """See `IStreamAdmin.truncate`."""
        self._check_open()
        asked = truncation(stream, before=before, snapshot=snapshot)
        found = self._existing(stream)
        at = min((target.at for target in self._targets.pending(stream)), default=None)
        first = asked.first_kept(
            version=found.version,
            first_version=found.first_version,
            newest_snapshot=found.newest_snapshot(),
            needed=None if at is None else found.needed(at=at),
        )
        self._log.cut(found, before=first)
        return first

    async def forget(self, stream: str) -> int:
        """See `IStreamAdmin.forget`."""
        self._check_open()
        found = self._streams.get(check_name(stream, path="stream"))
        return 0 if found is None else found.forget()

    async def delete_stream(self, stream: str) -> bool:
        """See `IStreamAdmin.delete_stream`."""
        self._check_open()
        found = self._streams.get(check_name(stream, path="stream"))
        if found is None:
            return False
        self._check_no_work(stream)
        self._log.cut(found, before=found.version + 1)
        self._targets.drop(stream)
        del self._streams[stream]
        return True

    async def record_archive(self, stream: str, *, archive: str) -> None:
        """See `IStreamAdmin.record_archive`."""
        self._check_open()
        check_name(archive, path="archive", stream=stream)
        self._existing(stream).archive = archive

    def _existing(self, stream: str) -> Stream:
        self._check_open()
        found = self._streams.get(check_name(stream, path="stream"))
        if found is None:
            raise missing_stream(stream)
        return found

    def _check_no_work(self, stream: str) -> None:
        pending = self._targets.pending(stream)
        check_no_work(stream, [(each.group, each.reaction, each.key) for each in pending])
