-- Each step writes the tail again, and a chunk is written once.
ALTER TABLE {table}
    ADD COLUMN tail bytea,
    ADD COLUMN last_chunk bigint NOT NULL DEFAULT 0,    -- the highest number given to a chunk
    ADD COLUMN freed_chunk bigint NOT NULL DEFAULT 0;   -- chunks up to this number are freed

CREATE TABLE {chunks} (
    machine bytea NOT NULL REFERENCES {table} (key) ON DELETE CASCADE,
    number bigint NOT NULL,
    data bytea NOT NULL,            -- a tag of one byte, then the chunk
    PRIMARY KEY (machine, number)
);

-- Long chunks are already compressed.
ALTER TABLE {chunks} ALTER COLUMN data SET STORAGE EXTERNAL;
