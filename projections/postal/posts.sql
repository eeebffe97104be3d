CREATE TABLE posts (
	tenant       uuid NOT NULL,
	id           uuid NOT NULL,
	version      integer NOT NULL,
	slug         text NOT NULL,
	title        text NOT NULL,
	summary      text NOT NULL,
	body         text NOT NULL,
	tags         text[] NOT NULL, -- as written; what they are called today says postal.tags
	category     text NOT NULL,
	author       text NOT NULL,
	external_id  text NOT NULL,
	status       text NOT NULL,
	owner        text NOT NULL,
	revision     integer NOT NULL,
	published_at timestamptz, -- of the first time
	listed_at    timestamptz NOT NULL, -- published_at, or created_at before that
	created_at   timestamptz NOT NULL,
	updated_at   timestamptz NOT NULL,
	PRIMARY KEY (tenant, id)
);
CREATE INDEX posts_listed ON posts (tenant, listed_at DESC, id DESC);
CREATE INDEX posts_owner ON posts (tenant, owner, listed_at DESC);
CREATE INDEX posts_external_id ON posts (tenant, external_id) WHERE external_id <> '';
CREATE INDEX posts_tags ON posts USING gin (tags);
