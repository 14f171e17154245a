"""What operators do with the streams of a file."""

from collections.abc import AsyncIterator
from functools import partial

from arvo_event_store._stream import StreamHead
from arvo_event_store.stores import check_name, check_prefix, truncation

from . import _admin, _reads
from ._file import OnFile


class FileStreamAdmin(OnFile):
    """The `IStreamAdmin` of a file."""

    def streams(self, *, prefix: str = "") -> AsyncIterator[StreamHead]:
        """See `IStreamAdmin.streams`."""
        return self._streams(prefix=check_prefix(prefix, path="prefix"))

    async def _streams(self, *, prefix: str) -> AsyncIterator[StreamHead]:
        after, more = "", True
        while more:
            page, more = await self._file.read(
                "STREAMS",
                partial(_reads.page_of_heads, prefix=prefix, after=after),
                collection="stream",
            )
            for head in page:
                yield head
            after = page[-1].stream if page else after

    async def close_stream(self, stream: str) -> None:
        """See `IStreamAdmin.close_stream`."""
        check_name(stream, path="stream")
        await self._file.write(
            "CLOSE_STREAM",
            lambda connection: _admin.close_stream(connection, stream, now=self._file.clock.now()),
        )

    async def reopen_stream(self, stream: str) -> None:
        """See `IStreamAdmin.reopen_stream`."""
        check_name(stream, path="stream")
        await self._file.write(
            "REOPEN_STREAM", lambda connection: _admin.reopen_stream(connection, stream)
        )

    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        """See `IStreamAdmin.truncate`."""
        asked = truncation(stream, before=before, snapshot=snapshot)
        return await self._file.write(
            "TRUNCATE", lambda connection: _admin.truncate(connection, asked)
        )

    async def forget(self, stream: str) -> int:
        """See `IStreamAdmin.forget`.

        What is deleted is overwritten with zeros. The write-ahead log may hold it for a while, until
        SQLite begins that anew.
        """
        check_name(stream, path="stream")
        return await self._file.write(
            "FORGET", lambda connection: _admin.forget(connection, stream)
        )

    async def delete_stream(self, stream: str) -> bool:
        """See `IStreamAdmin.delete_stream`."""
        check_name(stream, path="stream")
        return await self._file.write(
            "DELETE_STREAM", lambda connection: _admin.delete_stream(connection, stream)
        )

    async def record_archive(self, stream: str, *, archive: str) -> None:
        """See `IStreamAdmin.record_archive`."""
        check_name(stream, path="stream")
        check_name(archive, path="archive", stream=stream)
        await self._file.write(
            "RECORD_ARCHIVE",
            lambda connection: _admin.record_archive(connection, stream, archive=archive),
        )
