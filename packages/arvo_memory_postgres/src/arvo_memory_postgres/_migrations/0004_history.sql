-- Freed chunks may be kept as history.
ALTER TABLE {chunks} ADD COLUMN freed_at timestamptz;
