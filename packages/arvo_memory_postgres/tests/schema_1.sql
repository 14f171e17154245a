-- The schema as version 0.1.0 first made it, in "shop", with one workflow in it. Never changed again.
CREATE SCHEMA "shop";

CREATE TABLE IF NOT EXISTS "shop"."machines_migrations" (
    version integer PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row a workflow, with its lease in it. No index covers what changes with every step, so that
-- an update stays on its page (HOT); the fill factor leaves the room.
CREATE TABLE "shop"."machines" (
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
CREATE INDEX ON "shop"."machines" USING hash (root);
CREATE INDEX ON "shop"."machines" (finished_at) WHERE finished_at IS NOT NULL;

INSERT INTO "shop"."machines_migrations" (version) VALUES (1);

INSERT INTO "shop"."machines" (key, machine_id, version, codec, state, last_owner, status) VALUES (
    '\xbdbeeb7686a17a2b05e0bc0ea6c91696', 'order-7', 1, 'json',
    convert_to('{"status":"active","count":1}', 'UTF8'), '1518dabcd8765696827e21e0b1614a6d', 'active'
);
