"""The tables. A file may hold those of the machine memory too, which have other names.

Times are microseconds since 1970, ids are 16 bytes, JSON is the text that was given. `set_going` counts
how often marks of a reaction were raised by its scan, or an operator let its targets go on: with the last
position it tells other processes that there may be work.
"""

from typing import Final

from arvo_sqlite import Component

_MIGRATIONS: Final = (
    (
        """
        CREATE TABLE stream (
            name TEXT PRIMARY KEY,
            version INTEGER NOT NULL,
            first_version INTEGER NOT NULL DEFAULT 0,
            closed_at INTEGER,
            archive TEXT,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX stream_created ON stream (created_at)",
        # A position is never given twice, also when the last events were deleted.
        """
        CREATE TABLE event (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            id BLOB NOT NULL UNIQUE,
            stream TEXT NOT NULL,
            version INTEGER NOT NULL,
            name TEXT NOT NULL,
            data TEXT NOT NULL,
            meta TEXT NOT NULL,
            correlation TEXT NOT NULL,
            causation BLOB,
            created_at INTEGER NOT NULL,
            UNIQUE (stream, version)
        ) STRICT
        """,
        "CREATE INDEX event_stream ON event (stream, position)",
        "CREATE INDEX event_name ON event (name, position)",
        "CREATE INDEX event_correlation ON event (correlation, position)",
        "CREATE TABLE private (position INTEGER PRIMARY KEY, data TEXT NOT NULL) STRICT",
        """
        CREATE TABLE snapshot (
            stream TEXT,
            kind TEXT,
            version INTEGER,
            schema INTEGER NOT NULL,
            state TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            PRIMARY KEY (stream, kind, version)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE reaction (
            grp TEXT,
            name TEXT,
            definition TEXT NOT NULL,
            scanned INTEGER NOT NULL,
            owner BLOB,
            lease_until INTEGER,
            token INTEGER NOT NULL DEFAULT 0,
            set_going INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (grp, name)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE target (
            grp TEXT,
            reaction TEXT,
            key TEXT,
            lane TEXT NOT NULL,
            reads INTEGER NOT NULL,
            stream TEXT,
            at INTEGER NOT NULL,
            mark INTEGER NOT NULL,
            attempt INTEGER NOT NULL DEFAULT 0,
            failed INTEGER NOT NULL DEFAULT 0,
            token INTEGER NOT NULL,
            owner BLOB,
            lease_until INTEGER,
            due INTEGER,
            asleep INTEGER NOT NULL DEFAULT 0,
            blocked_at INTEGER,
            error TEXT,
            error_position INTEGER,
            PRIMARY KEY (grp, reaction, key)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE INDEX target_work ON target (grp, lane, at)
        WHERE blocked_at IS NULL AND asleep = 0 AND at < mark
        """,
        # With the lane, so that a worker is not woken for lanes that it does not have.
        "CREATE INDEX target_asleep ON target (grp, lane, due) WHERE asleep = 1",
        """
        CREATE INDEX target_blocked ON target (grp, reaction, key)
        WHERE blocked_at IS NOT NULL
        """,
        """
        CREATE TABLE listed (
            grp TEXT,
            reaction TEXT,
            key TEXT,
            position INTEGER,
            PRIMARY KEY (grp, reaction, key, position)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE parked (
            grp TEXT,
            reaction TEXT,
            key TEXT,
            position INTEGER,
            error TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            parked_at INTEGER NOT NULL,
            PRIMARY KEY (grp, reaction, key, position)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TRIGGER event_no_update BEFORE UPDATE ON event BEGIN
            SELECT raise(ABORT, 'events are append-only');
        END
        """,
        # Cutting off raises `first_version`, then deletes, in one transaction.
        """
        CREATE TRIGGER event_no_delete BEFORE DELETE ON event
        WHEN NOT EXISTS (
            SELECT 1 FROM stream WHERE name = OLD.stream AND first_version > OLD.version
        ) BEGIN
            SELECT raise(ABORT, 'events are append-only');
        END
        """,
    ),
)
EVENT_STORE: Final = Component(
    name="event_store",
    title="event store",
    package="arvo-event-store",
    migrations=_MIGRATIONS,
)
"""The tables of this store."""
