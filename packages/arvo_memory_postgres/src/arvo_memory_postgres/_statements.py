"""The SQL of a machine memory.

Every statement is a transaction of its own and may be sent again: the second time it finds what it did
the first time. Leases use `clock_timestamp()`, which goes on while a statement waits for a row; the
expiry of records uses `statement_timestamp()`, which stays the same throughout a statement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeAlias

from arvo_postgres import Migrations, TableName, migration_files

Move: TypeAlias = Literal["kept", "set", "dropped"]
"""What a write does with the entry of its workflow in the due index."""

# A lease saves work but protects no data, so a crash of the server may lose it: there is no need to
# wait for the disk. The setting ends with the statement.
_RELAXED = "(SELECT set_config('synchronous_commit', 'off', true) AS setting) AS relaxed"

EXPIRED = "m.expires_at <= statement_timestamp()"
"""Whether the record of a row `m` is forgotten; null if it never will be."""

# A LockPolicy allows at most ten years; a lease without an end, or with a later one, is damaged and
# counts as free.
HELD = """(m.lease_owner IS NOT NULL AND
    m.lease_until BETWEEN clock_timestamp() AND clock_timestamp() + interval '10 years')"""
"""Whether a row `m` is leased."""

# The chunks above a number, as two arrays: a row per chunk would repeat the record in each. They are
# not looked for when the row says that there are none.
_CHUNKS_ABOVE = """
CROSS JOIN LATERAL (
    SELECT array_agg(c.number ORDER BY c.number) AS numbers,
        array_agg(c.data ORDER BY c.number) AS chunks
    FROM {{chunks}} AS c
    WHERE {row}.last_chunk > {above} AND c.machine = {row}.key AND c.number > {above}
) AS found"""

# If this waits for a commit, it returns the row after the commit and the chunks before it.
_ACQUIRE = f"""
WITH taken AS (
INSERT INTO {{table}} AS m (key, machine_id, lease_owner, lease_until)
SELECT $1, $2, $3, clock_timestamp() + $4::interval FROM {_RELAXED}
WHERE relaxed.setting IS NOT NULL
ON CONFLICT (key) DO UPDATE SET
    lease_owner = excluded.lease_owner,
    lease_until = clock_timestamp() + $4::interval,
    version = CASE WHEN {EXPIRED} THEN 0 ELSE m.version END,
    codec = CASE WHEN {EXPIRED} THEN NULL ELSE m.codec END,
    state = CASE WHEN {EXPIRED} THEN NULL ELSE m.state END,
    status = CASE WHEN {EXPIRED} THEN NULL ELSE m.status END,
    last_owner = CASE WHEN {EXPIRED} THEN NULL ELSE m.last_owner END,
    finished_at = CASE WHEN {EXPIRED} THEN NULL ELSE m.finished_at END,
    tail = CASE WHEN {EXPIRED} THEN NULL ELSE m.tail END,
    freed_chunk = CASE WHEN {EXPIRED} THEN m.last_chunk ELSE m.freed_chunk END,
    created_at = CASE WHEN {EXPIRED} THEN clock_timestamp() ELSE m.created_at END,
    expires_at = CASE WHEN {EXPIRED} THEN NULL ELSE m.expires_at END
WHERE {HELD} IS NOT TRUE OR m.lease_owner = $3
RETURNING key, version, codec, state, coalesce(last_owner, '') AS committed_by, tail, last_chunk,
    greatest($5::bigint, freed_chunk) AS after
)
SELECT version, codec, state, committed_by, tail, last_chunk, after, numbers, chunks
FROM taken {_CHUNKS_ABOVE.format(row="taken", above="taken.after")}"""

# A damaged row counts as one with a record, so that it is not deleted.
_HAS_RECORD = "(m.version <> 0 OR m.state IS NOT NULL)"

# The root is looked up with the first record, and then stays. A parameter that is null must not make
# this cheaper to plan: PostgreSQL would then plan every commit anew, which doubles its cost.
_WRITTEN = f"""
    version = $3::bigint + 1, last_owner = $2, codec = $4, state = $5,
    status = $6, finished_at = CASE WHEN $7::boolean THEN clock_timestamp() END,
    parent = $8::text,
    root = coalesce(
        CASE WHEN $3::bigint > 0 THEN m.root END,
        (SELECT p.root FROM {{table}} AS p WHERE p.key = $9::bytea),
        $10::text
    ),
    initiator = $11, source = $12, workflow_key = $13, contract_version = $14,
    waits_for = $15::text[], waits_since = $16::timestamptz, due = $17::timestamptz, error = $18,
    created_at = CASE WHEN {EXPIRED} THEN clock_timestamp() ELSE m.created_at END,
    updated_at = clock_timestamp(), expires_at = clock_timestamp() + $19::interval"""

# Nothing is written unless the row is as its writer loaded it. $20 is the last writer as loaded: a
# version may come again after the workflow was forgotten, but not from the same writer.
_AS_LOADED = f"""
WHERE m.key = $1 AND CASE
    WHEN $3 = 0 THEN m.version = 0 OR {EXPIRED}
    ELSE m.version = $3 AND coalesce(m.last_owner, '') = $20 AND ({EXPIRED}) IS NOT TRUE
END
RETURNING m.version"""

_UNLEASED = "lease_owner = NULL, lease_until = NULL"

# At version 0 all chunks are freed: if there are any, they are left from an earlier life.
_COMMIT = f"""
UPDATE {{table}} AS m SET {_WRITTEN}, {_UNLEASED}, tail = $21::bytea,
    freed_chunk = CASE WHEN $3::bigint = 0 THEN m.last_chunk ELSE m.freed_chunk END
{_AS_LOADED}"""

_COMMIT_AND_MOVE = f"""
WITH written AS ({_COMMIT}, m.key, m.created_at)
SELECT version FROM written"""

# A statement of its own, as few commits append or free chunks. $22 is the chunk, $23 the number of
# chunks (1 or 0), $24 what is freed. All parts depend on the update, so a repetition changes nothing.
_WRITTEN_CHUNK = f"""
WITH written AS (
    UPDATE {{table}} AS m SET {_WRITTEN}, {_UNLEASED}, tail = $21::bytea,
        last_chunk = m.last_chunk + $23::bigint,
        freed_chunk = CASE
            WHEN $24::text = 'all' THEN m.last_chunk + $23::bigint
            WHEN $24::text = 'earlier' OR $3::bigint = 0 THEN m.last_chunk
            ELSE m.freed_chunk
        END
    {_AS_LOADED}, m.key, m.created_at, m.last_chunk, m.freed_chunk
)"""

_COMMIT_CHUNK = f"""{_WRITTEN_CHUNK}, freed AS (
    DELETE FROM {{chunks}} AS c USING written AS w
    WHERE c.machine = w.key AND c.number <= w.freed_chunk AND
        ($3::bigint = 0 OR $24::text <> 'none')
), appended AS (
    INSERT INTO {{chunks}} (machine, number, data)
    SELECT w.key, w.last_chunk, $22::bytea FROM written AS w
    WHERE $23::bigint = 1 AND w.last_chunk > w.freed_chunk
)
SELECT version FROM written"""

# The same with history: $25 is how long freed chunks are kept. At version 0 all chunks but its own are
# left from an earlier life.
_COMMIT_CHUNK_KEPT = f"""{_WRITTEN_CHUNK}, forgotten AS (
    DELETE FROM {{chunks}} AS c USING written AS w
    WHERE c.machine = w.key AND c.number <= w.freed_chunk AND ($3::bigint = 0 OR
        $24::text <> 'none' AND c.freed_at < statement_timestamp() - $25::interval)
), freed AS (
    UPDATE {{chunks}} AS c SET freed_at = statement_timestamp() FROM written AS w
    WHERE c.machine = w.key AND c.number <= w.freed_chunk AND $24::text <> 'none' AND
        c.freed_at IS NULL AND $3::bigint > 0
), appended AS (
    INSERT INTO {{chunks}} (machine, number, data, freed_at)
    SELECT w.key, w.last_chunk, $22::bytea,
        CASE WHEN w.last_chunk <= w.freed_chunk THEN clock_timestamp() END FROM written AS w
    WHERE $23::bigint = 1
)
SELECT version FROM written"""

_WRITE = f"""
WITH written AS (
    UPDATE {{table}} AS m SET {_WRITTEN}, tail = NULL, freed_chunk = m.last_chunk
    {_AS_LOADED}, m.key, m.created_at
), freed AS (
    DELETE FROM {{chunks}} AS c USING written AS w WHERE c.machine = w.key
)
SELECT version FROM written"""

# Parts of a write that move the earliest timer. All depends on the update, as with chunks.
_TIMER: Final[Mapping[Move, str]] = {
    "kept": "",
    "set": """, timed AS (
    INSERT INTO {due} AS d (machine, life, at, key, held_until, claims)
    SELECT w.key, w.created_at, {at}::timestamptz, {key}::bytea, {at}, 0 FROM written AS w
    ON CONFLICT (machine) DO UPDATE SET life = excluded.life, at = excluded.at, key = excluded.key,
        held_until = excluded.held_until, claims = 0
)""",
    "dropped": """, timed AS (
    DELETE FROM {due} AS d USING written AS w WHERE d.machine = w.key
)""",
}

# The row of a workflow that was never written may be deleted before its first record comes.
_ENSURE = """
INSERT INTO {table} (key, machine_id) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING"""

_FATE = """
SELECT version, last_owner = $2 AS wrote FROM {table} WHERE key = $1"""

# A workflow that was never written leaves no row behind.
_RELEASE = f"""
WITH relaxed AS MATERIALIZED (SELECT setting FROM {_RELAXED}), gone AS (
    DELETE FROM {{table}} AS m WHERE key = $1 AND lease_owner = $2 AND NOT {_HAS_RECORD}
        AND EXISTS (SELECT FROM relaxed WHERE setting IS NOT NULL)
)
UPDATE {{table}} AS m SET lease_owner = NULL, lease_until = NULL
WHERE key = $1 AND lease_owner = $2 AND {_HAS_RECORD}
    AND EXISTS (SELECT FROM relaxed WHERE setting IS NOT NULL)"""

_RENEW = f"""
UPDATE {{table}} AS m SET lease_until = clock_timestamp() + $3::interval FROM {_RELAXED}
WHERE key = $1 AND lease_owner = $2 AND relaxed.setting IS NOT NULL
RETURNING true"""

_READ = f"""
SELECT m.version, m.codec, m.state, coalesce(m.last_owner, '') AS committed_by, m.tail, numbers, chunks
FROM {{table}} AS m {_CHUNKS_ABOVE.format(row="m", above="m.freed_chunk")}
WHERE m.key = $1 AND {_HAS_RECORD} AND ({EXPIRED}) IS NOT TRUE"""

_CHUNKS = f"""
SELECT m.version, coalesce(m.last_owner, '') AS committed_by, numbers, chunks
FROM {{table}} AS m {_CHUNKS_ABOVE.format(row="m", above="greatest($2::bigint, m.freed_chunk)")}
WHERE m.key = $1 AND {_HAS_RECORD} AND ({EXPIRED}) IS NOT TRUE"""

_CLEANUP = "DELETE FROM {table} WHERE key = $1 RETURNING version"

_DELETE_FINISHED = f"""
DELETE FROM {{table}} WHERE key IN (
    SELECT m.key FROM {{table}} AS m WHERE m.finished_at < clock_timestamp() - $1::interval
        AND {HELD} IS NOT TRUE
    ORDER BY m.finished_at LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING key"""


# Rows of the version before, a few at a time.
_UNFILLED = """
SELECT key, machine_id, version, codec, state FROM {table}
WHERE version > 0 AND workflow_key IS NULL AND key > $1 ORDER BY key LIMIT $2"""

_FILL = """
UPDATE {table} AS m
SET workflow_key = f.workflow_key, contract_version = f.contract_version, error = f.error
FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[])
    AS f (key, workflow_key, contract_version, error)
WHERE m.key = f.key AND m.workflow_key IS NULL"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """The statements for one table."""

    acquire: str
    chunks: str
    commit: Mapping[Move, str]
    commit_chunk: Mapping[Move, str]
    commit_chunk_kept: Mapping[Move, str]
    write: Mapping[Move, str]
    ensure: str
    fate: str
    release: str
    renew: str
    read: str
    cleanup: str
    delete_finished: str
    unfilled: str
    fill: str

    @classmethod
    def of(cls, table: TableName) -> Self:
        """Return the statements for a table."""

        def sql(template: str) -> str:
            return in_table(template, table).strip()

        def moving(template: str, last: int) -> Mapping[Move, str]:
            """Return a write with each move; the timer's parameters come after the last other one."""
            return {
                move: sql(_with_timer(template, part, at=f"${last + 1}", key=f"${last + 2}"))
                for move, part in _TIMER.items()
            }

        return cls(
            acquire=sql(_ACQUIRE),
            chunks=sql(_CHUNKS),
            commit={**moving(_COMMIT_AND_MOVE, 21), "kept": sql(_COMMIT)},
            commit_chunk=moving(_COMMIT_CHUNK, 24),
            commit_chunk_kept=moving(_COMMIT_CHUNK_KEPT, 25),
            write=moving(_WRITE, 20),
            ensure=sql(_ENSURE),
            fate=sql(_FATE),
            release=sql(_RELEASE),
            renew=sql(_RENEW),
            read=sql(_READ),
            cleanup=sql(_CLEANUP),
            delete_finished=sql(_DELETE_FINISHED),
            unfilled=sql(_UNFILLED),
            fill=sql(_FILL),
        )


def _with_timer(write: str, part: str, *, at: str, key: str) -> str:
    written, select, end = write.rpartition("\nSELECT version FROM written")
    return written + part.replace("{at}", at).replace("{key}", key) + select + end


def in_table(sql: str, table: TableName) -> str:
    """Put the names of a component's tables into SQL."""
    return (
        sql.replace("{table}", table.quoted)
        .replace("{chunks}", table.beside("_chunks"))
        .replace("{due}", table.beside("_due"))
    )


def migrations_of(table: TableName) -> Migrations:
    """Return the migrations that create a table of workflows and bring it up to date."""
    files = migration_files("arvo_memory_postgres")
    return Migrations(
        table=table,
        sql={number: in_table(sql, table) for number, sql in files.items()},
        distribution="arvo-memory-postgres",
    )
