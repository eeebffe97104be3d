CREATE TABLE versions (
	tenant     uuid NOT NULL,
	id         uuid NOT NULL, -- of the post
	revision   integer NOT NULL,
	title      text NOT NULL,
	summary    text NOT NULL,
	slug       text NOT NULL,
	body       text NOT NULL,
	tags       text[] NOT NULL,
	category   text NOT NULL,
	author     text NOT NULL,
	owner      text NOT NULL, -- of the post
	editor     text NOT NULL, -- of the revision
	created_at timestamptz NOT NULL,
	PRIMARY KEY (tenant, id, revision)
);
