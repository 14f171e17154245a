-- What is searched. A workflow of the version before has no workflow_key until its next step, or
-- until migrate() has read its record.
ALTER TABLE {table}
    ADD COLUMN workflow_key text,           -- what people know the workflow by
    ADD COLUMN contract_version text,
    ADD COLUMN waits_for text[],            -- event types
    ADD COLUMN waits_since timestamptz,
    ADD COLUMN due timestamptz,             -- when its next timer fires
    ADD COLUMN error text;                  -- the name of the error that it failed with

UPDATE {table} SET
    status = CASE WHEN status IN ('done', 'failure') THEN status ELSE 'active' END,
    source = coalesce(source, ''),
    root = coalesce(root, machine_id)
WHERE version > 0 AND (status IS NULL OR status NOT IN ('active', 'done', 'failure')
    OR source IS NULL OR root IS NULL);

-- No column of these changes with a step. All workflows are those of the three statuses, so there is
-- no index by start alone.
CREATE INDEX ON {table} (status, created_at, key);
CREATE INDEX ON {table} (source, status, created_at, key);
CREATE INDEX ON {table} USING hash (workflow_key);
