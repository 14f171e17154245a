-- What a step adds is appended: the tail is written again by each step, a chunk once.
ALTER TABLE {table}
    ADD COLUMN tail bytea,
    ADD COLUMN last_chunk bigint NOT NULL DEFAULT 0,    -- the number of the latest chunk
    ADD COLUMN freed_chunk bigint NOT NULL DEFAULT 0;   -- chunks up to this number are not needed

CREATE TABLE {chunks} (
    machine bytea NOT NULL REFERENCES {table} (key) ON DELETE CASCADE,
    number bigint NOT NULL,
    data bytea NOT NULL,            -- a byte that says how to read it, then the chunk
    PRIMARY KEY (machine, number)
);

-- Long ones are compressed already.
ALTER TABLE {chunks} ALTER COLUMN data SET STORAGE EXTERNAL;
