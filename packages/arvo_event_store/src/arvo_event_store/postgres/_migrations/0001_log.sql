-- Names are compared by their bytes; times are the database's own.
CREATE TABLE {stream} (
    name text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,                 -- of its last event, from 0
    first_version bigint NOT NULL DEFAULT 0, -- above 0 once truncated
    closed_at timestamptz,
    archive text,                            -- where what was cut off lies
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 80);
CREATE INDEX ON {stream} (created_at); -- for retention; never updated, so that updates of heads stay HOT

-- Without CACHE 1 a session would take positions that are below those of others.
CREATE TABLE {event} (
    position bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME {sequence} CACHE 1) PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    data json NOT NULL,                      -- json, as jsonb reorders keys and refuses \u0000
    meta json NOT NULL,
    correlation text COLLATE "C" NOT NULL,
    causation uuid,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (stream, version)
);
CREATE INDEX ON {event} (stream, position);
CREATE INDEX ON {event} (name, position);
CREATE INDEX ON {event} (correlation, position);
CREATE TABLE {private} (position bigint PRIMARY KEY, data json NOT NULL);

CREATE TABLE {snapshot} (
    stream text COLLATE "C", kind text COLLATE "C", version bigint,
    schema integer NOT NULL, state json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stream, kind, version)
);

CREATE TABLE {reaction} (
    grp text COLLATE "C", name text COLLATE "C",
    definition json NOT NULL,
    scanned bigint NOT NULL,                 -- the position up to which its targets are marked
    owner uuid, lease_until timestamptz, token bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (grp, name)
);
CREATE TABLE {target} (
    grp text COLLATE "C", reaction text COLLATE "C", key text COLLATE "C",
    lane text COLLATE "C" NOT NULL,
    reads smallint NOT NULL,                 -- 0: its stream, 1: the event at `mark`, 2: what is listed, 3: the log
    stream text COLLATE "C",
    at bigint NOT NULL, mark bigint NOT NULL,
    attempt integer NOT NULL DEFAULT 0,      -- grants since the last progress
    failed integer NOT NULL DEFAULT 0,       -- tries that failed, carried over a postponement
    -- Grows even over a row that went and came back, so that its former holder is refused.
    token bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    owner uuid, lease_until timestamptz,
    blocked_at timestamptz, error text, error_position bigint,
    due timestamptz,
    asleep boolean NOT NULL DEFAULT false,   -- waits for `due`, outside the index of work
    PRIMARY KEY (grp, reaction, key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX ON {target} (grp, lane, at) WHERE blocked_at IS NULL AND NOT asleep AND at < mark;
CREATE INDEX ON {target} (grp, lane, due) WHERE asleep;
CREATE INDEX ON {target} (grp, reaction, key) WHERE blocked_at IS NOT NULL;
CREATE INDEX ON {target} (stream) WHERE stream IS NOT NULL; -- for what closes, cuts off or deletes one
CREATE TABLE {listed} (
    grp text COLLATE "C", reaction text COLLATE "C", key text COLLATE "C", position bigint,
    PRIMARY KEY (grp, reaction, key, position)
);
CREATE TABLE {parked} (
    grp text COLLATE "C", reaction text COLLATE "C", key text COLLATE "C", position bigint,
    error text NOT NULL, attempts integer NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (grp, reaction, key, position)
);

CREATE FUNCTION {append_only}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('arvo.maintenance', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'events are append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER event_is_append_only AFTER UPDATE OR DELETE OR TRUNCATE ON {event}
    FOR EACH STATEMENT EXECUTE FUNCTION {append_only}();
