-- The registry of read models. Idempotent: runs at every start; add to it, never change a line that was merged.
CREATE SCHEMA IF NOT EXISTS project;

-- One row per set of physical tables of a view.
CREATE TABLE IF NOT EXISTS project.checkpoints (
	physical         text PRIMARY KEY,                       -- schema of the tables
	view             text NOT NULL,
	version          int NOT NULL,
	state            text NOT NULL CHECK (state IN ('live', 'building', 'diverged', 'failed', 'kept')),
	error            text NOT NULL DEFAULT '',               -- why it diverged or failed
	log              text NOT NULL,                          -- id of the log it follows
	position         text COLLATE "C" NOT NULL DEFAULT '',   -- everything up to here is applied, held or discarded
	event            uuid,                                   -- the event at position
	applied          bigint NOT NULL DEFAULT 0,
	digest           bytea NOT NULL DEFAULT '\x00000000000000000000000000000000' CHECK (length(digest) = 16),
	discarded        bigint NOT NULL DEFAULT 0,
	discarded_digest bytea NOT NULL DEFAULT '\x00000000000000000000000000000000' CHECK (length(discarded_digest) = 16),
	epoch            bigint NOT NULL DEFAULT 0,              -- raised by every change of owner
	owner            text NOT NULL DEFAULT '',
	heartbeat        timestamptz,                            -- a worker was alive then, busy or not
	updated_at       timestamptz NOT NULL DEFAULT now(),
	created_at       timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX IF NOT EXISTS checkpoints_view ON project.checkpoints (view, version);

-- Which physical tables readers see.
CREATE TABLE IF NOT EXISTS project.views (
	name        text PRIMARY KEY,                            -- <room>.<plural>
	physical    text NOT NULL REFERENCES project.checkpoints,
	version     int NOT NULL,
	switched_at timestamptz NOT NULL DEFAULT now()
);

-- Streams a view cannot take further, and their events that wait, the failing one first.
CREATE TABLE IF NOT EXISTS project.quarantine (
	physical text NOT NULL REFERENCES project.checkpoints ON DELETE CASCADE,
	category text NOT NULL,
	stream   uuid NOT NULL,
	tenant   uuid NOT NULL,
	position text COLLATE "C" NOT NULL,                      -- of the failing event
	event    uuid NOT NULL,
	type     text NOT NULL,
	error    text NOT NULL,                                  -- never values out of the event
	attempts int NOT NULL DEFAULT 1,
	since    timestamptz NOT NULL DEFAULT now(),
	at       timestamptz NOT NULL DEFAULT now(),             -- of the last attempt
	PRIMARY KEY (physical, category, stream)
);
CREATE TABLE IF NOT EXISTS project.quarantined_events (
	physical text NOT NULL,
	category text NOT NULL,
	stream   uuid NOT NULL,
	position text COLLATE "C" NOT NULL,
	event    uuid NOT NULL,
	PRIMARY KEY (physical, category, stream, position),
	FOREIGN KEY (physical, category, stream) REFERENCES project.quarantine ON DELETE CASCADE
);

-- Events an operator decided a version of a view shall do without. Outlives the tables: a rebuild honours it.
CREATE TABLE IF NOT EXISTS project.discarded (
	view     text NOT NULL,
	version  int NOT NULL,
	event    uuid NOT NULL,
	category text NOT NULL,
	stream   uuid NOT NULL,
	position text COLLATE "C" NOT NULL,
	error    text NOT NULL,
	who      text NOT NULL,
	why      text NOT NULL,
	at       timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (view, version, event)
);

-- Where a view's live tables are and how they stand.
CREATE OR REPLACE VIEW project.views_live AS
SELECT v.name, v.physical, c.log, c.position, c.state,
	(SELECT count(*) FROM project.quarantine q WHERE q.physical = v.physical) AS quarantined
FROM project.views v JOIN project.checkpoints c USING (physical);

-- The streams set aside are counted where the read side looks in any case.
ALTER TABLE project.checkpoints ADD COLUMN IF NOT EXISTS quarantined bigint NOT NULL DEFAULT 0;
UPDATE project.checkpoints c SET quarantined = q.streams FROM (SELECT physical, count(*) AS streams FROM project.quarantine GROUP BY physical) q
WHERE c.physical = q.physical AND c.quarantined <> q.streams;

-- move is the compare-and-set of a page: the checkpoint is where it was locked, or nothing of the page stays.
CREATE OR REPLACE FUNCTION project.move(place text, log text, next text, event uuid, applied bigint, digest bytea, discarded bigint, discarded_digest bytea,
	epoch bigint, owner text, quarantined bigint, was text, was_epoch bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE project.checkpoints c SET log = move.log, position = next, event = move.event, applied = move.applied, digest = move.digest,
		discarded = move.discarded, discarded_digest = move.discarded_digest, epoch = move.epoch, owner = move.owner, quarantined = move.quarantined,
		heartbeat = clock_timestamp(), updated_at = clock_timestamp()
	WHERE c.physical = place AND c.position = was AND c.epoch = was_epoch;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the checkpoint of % moved although it was locked', place;
	END IF;
END $$;
