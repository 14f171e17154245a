-- One row a workflow, with its lease in it. No index covers what changes with every step, so that
-- an update stays on its page (HOT); the fill factor leaves the room.
CREATE TABLE {table} (
    key bytea PRIMARY KEY,          -- BLAKE2b-128 of machine_id, which can be too long for an index
    machine_id text NOT NULL,       -- the workflow's subject
    version bigint NOT NULL DEFAULT 0,
    codec text,                     -- how to read state: json, or zlib
    state bytea,                    -- the record, byte for byte; NULL while there is none
    lease_owner text,
    lease_until timestamptz,
    last_owner text,                -- who wrote this version: recognises a commit that comes again
    status text,                    -- active, done, failure
    parent text,                    -- subject of the workflow that asked for this one
    root text,                      -- subject of the workflow at the top
    initiator text,                 -- source of the event that started it
    source text,                    -- the workflow's own address
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    expires_at timestamptz          -- from then on as if it had never been
) WITH (fillfactor = 70);

-- Hash indexes take texts of any length.
CREATE INDEX ON {table} USING hash (root);
CREATE INDEX ON {table} (finished_at) WHERE finished_at IS NOT NULL;
