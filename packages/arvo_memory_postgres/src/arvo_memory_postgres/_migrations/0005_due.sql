-- The earliest timer of each workflow that waits for a time. An indexed column of the workflow's own
-- row would end its HOT updates.
CREATE TABLE {due} (
    machine bytea PRIMARY KEY REFERENCES {table} (key) ON DELETE CASCADE,
    life timestamptz NOT NULL,          -- created_at of the row when it was set; later lives have another
    at timestamptz NOT NULL,            -- when it is due
    key bytea NOT NULL,                 -- in UTF-8; text cannot store every name
    held_until timestamptz NOT NULL,    -- when it can be claimed: first at, then the end of the last claim
    claims integer NOT NULL
);

CREATE INDEX ON {due} (held_until);
