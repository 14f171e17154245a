"""What operators do with streams on PostgreSQL."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from arvo_event_store.stores import check_name, check_no_work, missing_stream, truncation
from arvo_postgres import OpenTransaction

from ._failures import store_errors
from ._pending import lowest_needed, pending_targets
from ._sessions import PooledSession
from ._tables import Tables

T = TypeVar("T")

_HEAD: Final = """
SELECT version, first_version, closed_at FROM {stream} WHERE name = $1 FOR UPDATE"""

_CLOSE: Final = """
UPDATE {stream} SET closed_at = clock_timestamp() WHERE name = $1"""

_REOPEN: Final = """
UPDATE {stream} SET closed_at = NULL WHERE name = $1 RETURNING name"""

_RECORD_ARCHIVE: Final = """
UPDATE {stream} SET archive = $2 WHERE name = $1 RETURNING name"""

_FORGET: Final = """
DELETE FROM {private} AS p USING {event} AS e
WHERE e.stream = $1 AND p.position = e.position RETURNING p.position"""

_MAINTENANCE: Final = "SELECT set_config('arvo.maintenance', 'on', true)"

_NEWEST_SNAPSHOT: Final = """
SELECT max(version) AS version FROM {snapshot} WHERE stream = $1"""

_CUT_PRIVATE: Final = """
DELETE FROM {private} AS p USING {event} AS e
WHERE e.stream = $1 AND e.version < $2 AND p.position = e.position"""

_CUT: Final = """
DELETE FROM {event} WHERE stream = $1 AND version < $2"""

_CUT_HEAD: Final = """
UPDATE {stream} SET first_version = $2 WHERE name = $1"""

# Before the head, as appends lock them in this order.
_LOCK_TARGETS: Final = """
SELECT key FROM {target} WHERE stream = $1 ORDER BY grp, reaction, key FOR UPDATE"""

_DELETE: Final = (
    "DELETE FROM {target} WHERE stream = $1",
    "DELETE FROM {snapshot} WHERE stream = $1",
    "DELETE FROM {stream} WHERE name = $1",
)


class StreamAdmin:
    """Closes, cuts off, forgets and deletes streams.

    Args:
        session: Runs statements and transactions.
        tables: The tables.
    """

    def __init__(self, session: PooledSession, *, tables: Tables) -> None:
        self._session = session
        self._tables = tables

    async def close_stream(self, stream: str) -> None:
        """See `IStreamAdmin.close_stream`."""
        check_name(stream, path="stream")

        async def work(transaction: OpenTransaction) -> None:
            head = await self._head(transaction, "CLOSE", stream)
            if head["closed_at"] is not None:
                return
            await self._check_no_work(transaction, stream)
            await transaction.run("CLOSE", self._tables.sql(_CLOSE), stream)

        await self._done("CLOSE", work)

    async def reopen_stream(self, stream: str) -> None:
        """See `IStreamAdmin.reopen_stream`."""
        check_name(stream, path="stream")
        await self._updated("REOPEN", _REOPEN, stream)

    async def record_archive(self, stream: str, *, archive: str) -> None:
        """See `IStreamAdmin.record_archive`."""
        check_name(stream, path="stream")
        check_name(archive, path="archive", stream=stream)
        await self._updated("ARCHIVE", _RECORD_ARCHIVE, stream, archive)

    async def truncate(self, stream: str, *, before: int, snapshot: bool = True) -> int:
        """See `IStreamAdmin.truncate`."""
        asked = truncation(stream, before=before, snapshot=snapshot)

        async def work(transaction: OpenTransaction) -> int:
            head = await self._head(transaction, "TRUNCATE", stream)
            sql = self._tables.sql(_NEWEST_SNAPSHOT)
            newest = (await transaction.run("TRUNCATE", sql, stream)).row["version"]
            first = asked.first_kept(
                version=head["version"],
                first_version=head["first_version"],
                newest_snapshot=newest,
                needed=await lowest_needed(transaction, stream, tables=self._tables),
            )
            if first > head["first_version"]:
                await transaction.run("TRUNCATE", _MAINTENANCE)
                for sql in (_CUT_PRIVATE, _CUT, _CUT_HEAD):
                    await transaction.run("TRUNCATE", self._tables.sql(sql), stream, first)
            return first

        return await self._done("TRUNCATE", work)

    async def forget(self, stream: str) -> int:
        """See `IStreamAdmin.forget`."""
        check_name(stream, path="stream")
        with store_errors():
            return len((await self._session.run("FORGET", self._tables.sql(_FORGET), stream)).rows)

    async def delete_stream(self, stream: str) -> bool:
        """See `IStreamAdmin.delete_stream`."""
        check_name(stream, path="stream")

        async def work(transaction: OpenTransaction) -> bool:
            await transaction.run("DELETE", self._tables.sql(_LOCK_TARGETS), stream)
            head = (await transaction.run("DELETE", self._tables.sql(_HEAD), stream)).row
            if head is None:
                return False
            await self._check_no_work(transaction, stream)
            await transaction.run("DELETE", _MAINTENANCE)
            for sql in (_CUT_PRIVATE, _CUT):
                after_last = head["version"] + 1
                await transaction.run("DELETE", self._tables.sql(sql), stream, after_last)
            for sql in _DELETE:
                await transaction.run("DELETE", self._tables.sql(sql), stream)
            return True

        return await self._done("DELETE", work)

    async def _done(self, operation: str, work: Callable[[OpenTransaction], Awaitable[T]]) -> T:
        with store_errors():
            return await self._session.in_transaction(operation, work)

    async def _updated(self, operation: str, sql: str, stream: str, *args: object) -> None:
        with store_errors():
            rows = (await self._session.run(operation, self._tables.sql(sql), stream, *args)).rows
        if not rows:
            raise missing_stream(stream)

    async def _head(self, transaction: OpenTransaction, operation: str, stream: str) -> Any:
        """Lock the head of a stream, so that nothing is appended meanwhile, and return it."""
        row = (await transaction.run(operation, self._tables.sql(_HEAD), stream)).row
        if row is None:
            raise missing_stream(stream)
        return row

    async def _check_no_work(self, transaction: OpenTransaction, stream: str) -> None:
        check_no_work(stream, await pending_targets(transaction, stream, tables=self._tables))
