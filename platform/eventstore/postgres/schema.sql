-- The log. {log} is its schema, {lock} the advisory lock that orders appends; both are filled in by Open.
CREATE SCHEMA IF NOT EXISTS {log};

CREATE TABLE IF NOT EXISTS {log}.identity (
	single    bool PRIMARY KEY DEFAULT true CHECK (single),
	id        text NOT NULL,
	cluster   text NOT NULL, -- system identifier and timeline this id was made on: another pair is a restore or a promotion
	since     timestamptz NOT NULL DEFAULT now()
);

-- Positions are dense: the n-th event ever committed has position n.
CREATE TABLE IF NOT EXISTS {log}.events (
	position    bigint PRIMARY KEY,
	commit      bigint NOT NULL, -- position of the last event of the same append
	id          uuid NOT NULL UNIQUE,
	stream      uuid NOT NULL,
	version     int NOT NULL,
	schema      smallint NOT NULL,
	category    text NOT NULL,
	type        text NOT NULL,
	tenant      uuid NOT NULL,
	actor       text NOT NULL,
	at          timestamptz NOT NULL,
	recorded_at timestamptz NOT NULL,
	correlation uuid NOT NULL,
	causation   uuid NOT NULL,
	data        bytea NOT NULL,
	meta        bytea,
	UNIQUE (stream, category, version)
);
ALTER TABLE {log}.events SET (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

CREATE TABLE IF NOT EXISTS {log}.claims (
	key    bytea PRIMARY KEY CHECK (octet_length(key) = 32),
	holder text NOT NULL
);

CREATE TABLE IF NOT EXISTS {log}.receipts (
	key         bytea PRIMARY KEY CHECK (octet_length(key) = 32),
	fingerprint bytea NOT NULL,
	answer      bytea NOT NULL,
	position    bigint NOT NULL,
	expires_at  timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS receipts_expiry ON {log}.receipts (expires_at);

CREATE TABLE IF NOT EXISTS {log}.contents (
	hash   bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
	tenant uuid NOT NULL,
	data   bytea NOT NULL,
	pinned bool NOT NULL DEFAULT false, -- an event refers to it
	put_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS contents_unpinned ON {log}.contents (put_at) WHERE NOT pinned;

CREATE OR REPLACE FUNCTION {log}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the log is append-only';
END $$;
DO $$ BEGIN
	IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'append_only' AND tgrelid = '{log}.events'::regclass) THEN
		CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {log}.events EXECUTE FUNCTION {log}.refuse();
	END IF;
END $$;

-- append commits a batch of appends that share no stream, claim, receipt or event id (shared reads aside), so each is judged
-- alone and in one pass. The lock makes commit order the order of positions; every later statement sees all earlier commits.
-- Columns of one type travel in one array, row after row (taking many arrays apart costs more than the insert):
--   w_int: append, expected version · e_int: append, write, n-th of its write, events left in its append, schema
--   e_uuid: id, tenant, correlation, causation · e_text: type, actor · e_bytes: data, meta
--   c_int: append, item, need, final · c_text: taker, freed, holder · r_int: append, item, event · r_bytes: key, fingerprint, answer
-- base is the position before the first new event, known the version of each write's stream before this call,
-- failures (null if none) say which appends were left out and why.
CREATE OR REPLACE FUNCTION {log}.append(
	w_int int[], w_category text[], w_stream uuid[],
	e_int int[], e_uuid uuid[], e_text text[], e_at timestamptz[], e_bytes bytea[],
	c_int int[], c_key bytea[], c_text text[],
	r_int int[], r_bytes bytea[], r_position bigint[], r_ttl interval,
	h_append int[], h_hash bytea[], look bool, resent bool,
	OUT base bigint, OUT recorded timestamptz, OUT known int[], OUT failures jsonb
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	bad      int[] := '{}'; -- appends left out
	rank     int[];         -- which new event each event becomes, if any is left out
	events   int := coalesce(cardinality(e_at), 0);
	writes   int := coalesce(cardinality(w_stream), 0);
	claims   int := coalesce(cardinality(c_key), 0);
	receipts int := coalesce(cardinality(r_position), 0);
	contents int := coalesce(cardinality(h_hash), 0);
	n        int := 0;
	r        record;
BEGIN
	n := length(pg_advisory_xact_lock({lock})::text); -- an assignment, since it is cheaper than a query; its length is 0
	SELECT e.position, e.recorded_at INTO base, recorded FROM {log}.events e ORDER BY e.position DESC LIMIT 1;
	base := coalesce(base, 0); -- the log is empty
	IF look THEN
		known := ARRAY(SELECT coalesce((SELECT e.version FROM {log}.events e WHERE e.stream = w_stream[i] AND e.category = w_category[i] ORDER BY e.version DESC LIMIT 1), 0)
			FROM generate_series(1, writes) i);
	ELSE -- every write begins its stream: if one is there, the unique index says so
		known := array_fill(0, ARRAY[writes]);
	END IF;
	recorded := greatest(clock_timestamp(), recorded);

	IF receipts > 0 THEN
		FOR r IN
			SELECT r_int[3*i-2] AS append, r_int[3*i-1] AS item, 3 AS what, s.position AS number, encode(s.fingerprint, 'base64') AS fingerprint, encode(s.answer, 'base64') AS answer
			FROM generate_series(1, receipts) i JOIN {log}.receipts s ON s.key = r_bytes[3*i-2] AND s.expires_at > recorded
		LOOP
			bad := bad || r.append;
			failures := coalesce(failures, '[]') || to_jsonb(r);
		END LOOP;
	END IF;

	IF look THEN
		FOR i IN 1 .. writes LOOP
			IF w_int[2*i] >= 0 AND known[i] <> w_int[2*i] OR w_int[2*i] = -2 AND known[i] = 0 THEN
				bad := bad || w_int[2*i-1];
				failures := coalesce(failures, '[]') || jsonb_build_object('append', w_int[2*i-1], 'what', 4, 'item', i, 'number', known[i]);
			END IF;
		END LOOP;
	END IF;

	IF claims > 0 THEN
		FOR r IN
			SELECT c_int[4*i-3] AS append, c_int[4*i-2] AS item, CASE WHEN h.holder IS NULL THEN 6 ELSE 5 END AS what, h.holder
			FROM generate_series(1, claims) i LEFT JOIN {log}.claims h ON h.key = c_key[i]
			WHERE c_int[4*i-1] = 1 AND h.holder IS NOT NULL AND h.holder NOT IN (c_text[3*i-2], c_text[3*i-1]) OR c_int[4*i-1] = 2 AND h.holder IS NULL
		LOOP
			bad := bad || r.append;
			failures := coalesce(failures, '[]') || to_jsonb(r);
		END LOOP;
	END IF;

	IF contents > 0 THEN
		FOR r IN SELECT h_append[i] AS append, 7 AS what FROM generate_series(1, contents) i LEFT JOIN {log}.contents c ON c.hash = h_hash[i] WHERE c.hash IS NULL LOOP
			bad := bad || r.append;
			failures := coalesce(failures, '[]') || to_jsonb(r);
		END LOOP;
		UPDATE {log}.contents c SET pinned = true FROM generate_series(1, contents) i WHERE c.hash = h_hash[i] AND NOT c.pinned AND h_append[i] <> ALL (bad);
	END IF;

	-- Ids are looked up only when a repeat is likely: who sends one unasked meets the unique index and comes back with resent, and so
	-- does who begins a stream that is there (look is false when all writes begin theirs).
	IF resent OR failures IS NOT NULL THEN
		FOR r IN
			SELECT e_int[5*i-4] AS append, i AS item, x.position AS number, x.recorded_at AS at,
				CASE WHEN x.stream = w_stream[e_int[5*i-3]] AND x.category = w_category[e_int[5*i-3]] THEN 1 ELSE 2 END AS what
			FROM generate_series(1, events) i JOIN {log}.events x ON x.id = e_uuid[4*i-3]
		LOOP
			bad := bad || r.append;
			failures := coalesce(failures, '[]') || to_jsonb(r);
		END LOOP;
	END IF;

	IF bad <> '{}' THEN
		FOR i IN 1 .. events LOOP
			n := n + (e_int[5*i-4] <> ALL (bad))::int;
			rank[i] := n;
		END LOOP;
	END IF;
	INSERT INTO {log}.events (position, commit, id, stream, version, schema, category, type, tenant, actor, at, recorded_at, correlation, causation, data, meta)
	SELECT base + coalesce(rank[i], i), base + coalesce(rank[i], i) + e_int[5*i-1], e_uuid[4*i-3], w_stream[e_int[5*i-3]], known[e_int[5*i-3]] + e_int[5*i-2], e_int[5*i],
		w_category[e_int[5*i-3]], e_text[2*i-1], e_uuid[4*i-2], e_text[2*i], e_at[i], recorded, e_uuid[4*i-1], e_uuid[4*i], e_bytes[2*i-1], e_bytes[2*i]
	FROM generate_series(1, events) i WHERE e_int[5*i-4] <> ALL (bad);

	IF claims > 0 THEN
		DELETE FROM {log}.claims h USING generate_series(1, claims) i
		WHERE h.key = c_key[i] AND c_int[4*i] = 2 AND h.holder IN (c_text[3*i-2], c_text[3*i-1]) AND c_int[4*i-3] <> ALL (bad);
		INSERT INTO {log}.claims AS h (key, holder)
		SELECT c_key[i], c_text[3*i] FROM generate_series(1, claims) i WHERE c_int[4*i] = 1 AND c_int[4*i-3] <> ALL (bad)
		ON CONFLICT (key) DO UPDATE SET holder = excluded.holder WHERE h.holder <> excluded.holder;
	END IF;

	IF receipts > 0 THEN
		INSERT INTO {log}.receipts AS s (key, fingerprint, answer, position, expires_at)
		SELECT r_bytes[3*i-2], r_bytes[3*i-1], r_bytes[3*i], CASE WHEN r_int[3*i] > 0 THEN base + coalesce(rank[r_int[3*i]], r_int[3*i]) ELSE r_position[i] END, recorded + r_ttl
		FROM generate_series(1, receipts) i WHERE r_int[3*i-2] <> ALL (bad)
		ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer, position = excluded.position, expires_at = excluded.expires_at;
	END IF;

END $$;
