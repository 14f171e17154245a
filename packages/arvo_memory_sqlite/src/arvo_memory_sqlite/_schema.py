"""The tables, and how those of an older version become the present ones."""

from typing import Final

from arvo_sqlite import Component

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
)
MACHINE: Final = Component(
    name="machine",
    title="machine memory",
    package="arvo-memory-sqlite",
    migrations=_MIGRATIONS,
)
"""The tables of this memory."""
