"""The tables, and how those of an older version become the present ones."""

import sqlite3
from contextlib import suppress
from typing import Final

from arvo_event_handler import UnreadableRecordError
from arvo_event_handler.memory import PackedRecord, Record, summary_of_record, unpack_record
from arvo_sqlite import Component

_MOST_BYTES: Final = 2**31


def _fill_from_records(connection: sqlite3.Connection) -> None:
    """Fill the columns that are searched from the records of the version before."""
    last = 0
    while rows := connection.execute(
        "SELECT seq, id, codec, state FROM machine_3 WHERE version > 0 AND seq > ? "
        "ORDER BY seq LIMIT 1000",
        (last,),
    ).fetchall():
        for seq, machine_id, codec, state in rows:
            record: Record = {}
            # A damaged one is still listed, by what its subject says.
            with suppress(UnreadableRecordError):
                record = unpack_record(PackedRecord(codec, state), max_bytes=_MOST_BYTES)
            said = summary_of_record(record, subject=machine_id)
            connection.execute(
                """
                UPDATE machine_3 SET status = ?, key = ?, source = ?, contract_version = ?,
                    initiator = ?, error = ?
                WHERE seq = ?
                """,
                (said.status, said.key, said.source, said.version, said.initiator, said.error, seq),
            )
            last = seq


# One row per workflow. A row of version 0 is a lease on a workflow that was never written. Times are
# milliseconds since 1970. There is no index on what every step changes.
_MIGRATIONS: Final = (
    (
        """
        CREATE TABLE machine (
            id TEXT NOT NULL PRIMARY KEY,
            owner TEXT,
            lease_end INTEGER NOT NULL DEFAULT 0,
            version INTEGER NOT NULL DEFAULT 0,
            last_owner TEXT,
            status TEXT,
            parent TEXT,
            root TEXT,
            updated_at INTEGER NOT NULL,
            expires_at INTEGER,
            codec TEXT,
            state BLOB
        ) STRICT
        """,
        "CREATE INDEX machine_status ON machine (status) WHERE status IS NOT NULL",
        "CREATE INDEX machine_root ON machine (root) WHERE parent IS NOT NULL",
        "CREATE INDEX machine_expires_at ON machine (expires_at) WHERE expires_at IS NOT NULL",
    ),
    # Chunks refer to their workflow by a number that is never used again, as ids are long.
    (
        """
        CREATE TABLE machine_2 (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            owner TEXT,
            lease_end INTEGER NOT NULL DEFAULT 0,
            version INTEGER NOT NULL DEFAULT 0,
            last_owner TEXT,
            status TEXT,
            parent TEXT,
            root TEXT,
            updated_at INTEGER NOT NULL,
            expires_at INTEGER,
            codec TEXT,
            state BLOB,
            tail BLOB,
            last_chunk INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """,
        """
        INSERT INTO machine_2 (id, owner, lease_end, version, last_owner, status, parent, root,
            updated_at, expires_at, codec, state)
        SELECT id, owner, lease_end, version, last_owner, status, parent, root,
            updated_at, expires_at, codec, state
        FROM machine ORDER BY rowid
        """,
        "DROP TABLE machine",
        "ALTER TABLE machine_2 RENAME TO machine",
        "CREATE INDEX machine_status ON machine (status) WHERE status IS NOT NULL",
        "CREATE INDEX machine_root ON machine (root) WHERE parent IS NOT NULL",
        "CREATE INDEX machine_expires_at ON machine (expires_at) WHERE expires_at IS NOT NULL",
        """
        CREATE TABLE chunk (
            machine INTEGER NOT NULL,
            number INTEGER NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (machine, number)
        ) STRICT, WITHOUT ROWID
        """,
        # So any deletion of a workflow, even by hand, also deletes its chunks.
        """
        CREATE TRIGGER machine_deleted AFTER DELETE ON machine BEGIN
            DELETE FROM chunk WHERE machine = OLD.seq;
        END
        """,
    ),
    # What is searched stands before the record, as SQLite walks through a long row from its start.
    (
        """
        CREATE TABLE machine_3 (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            owner TEXT,
            lease_end INTEGER NOT NULL DEFAULT 0,
            version INTEGER NOT NULL DEFAULT 0,
            last_owner TEXT,
            status TEXT,
            key TEXT,
            source TEXT,
            contract_version TEXT,
            initiator TEXT,
            parent TEXT,
            root TEXT,
            waits_for TEXT,
            waits_since INTEGER,
            due INTEGER,
            error TEXT,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            expires_at INTEGER,
            last_chunk INTEGER NOT NULL DEFAULT 0,
            codec TEXT,
            state BLOB,
            tail BLOB
        ) STRICT
        """,
        # A workflow started before all that started later were last written, as far as one knows.
        """
        INSERT INTO machine_3 (seq, id, owner, lease_end, version, last_owner, parent, root,
            created_at, updated_at, expires_at, last_chunk, codec, state, tail)
        SELECT seq, id, owner, lease_end, version, last_owner, parent, root,
            min(updated_at) OVER (
                ORDER BY seq ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
            ),
            updated_at, expires_at, last_chunk, codec, state, tail
        FROM machine
        """,
        _fill_from_records,
        # So that no number is used again.
        "DELETE FROM sqlite_sequence WHERE name = 'machine_3'",
        "UPDATE sqlite_sequence SET name = 'machine_3' WHERE name = 'machine'",
        "DROP TABLE machine",
        "ALTER TABLE machine_3 RENAME TO machine",
        "CREATE INDEX machine_status ON machine (status, created_at) WHERE status IS NOT NULL",
        """
        CREATE INDEX machine_source ON machine (source, status, created_at)
        WHERE status IS NOT NULL
        """,
        "CREATE INDEX machine_key ON machine (key, created_at) WHERE status IS NOT NULL",
        "CREATE INDEX machine_root ON machine (root, created_at) WHERE parent IS NOT NULL",
        "CREATE INDEX machine_expires_at ON machine (expires_at) WHERE expires_at IS NOT NULL",
        """
        CREATE TRIGGER machine_deleted AFTER DELETE ON machine BEGIN
            DELETE FROM chunk WHERE machine = OLD.seq;
        END
        """,
    ),
    # Chunks up to the number are freed, and kept as history.
    (
        "ALTER TABLE machine ADD COLUMN freed_chunk INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE chunk ADD COLUMN freed_at INTEGER",
    ),
    # The earliest timer of each workflow that has one: a table of its own, so that a step without a
    # timer does not touch it. It can be claimed at its time or, once claimed, at the end of the hold.
    (
        """
        CREATE TABLE due (
            machine INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            key TEXT NOT NULL,
            ready_at INTEGER NOT NULL,
            claims INTEGER NOT NULL
        ) STRICT
        """,
        "CREATE INDEX due_ready_at ON due (ready_at)",
        "DROP TRIGGER machine_deleted",
        """
        CREATE TRIGGER machine_deleted AFTER DELETE ON machine BEGIN
            DELETE FROM chunk WHERE machine = OLD.seq;
            DELETE FROM due WHERE machine = OLD.seq;
        END
        """,
    ),
)
MACHINE: Final = Component(
    name="machine",
    title="machine memory",
    package="arvo-memory-sqlite",
    migrations=_MIGRATIONS,
)
"""The tables of this memory."""
