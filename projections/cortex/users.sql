CREATE TABLE users (
	tenant       uuid NOT NULL,
	id           uuid NOT NULL,
	version      integer NOT NULL,
	email        text NOT NULL,
	username     text NOT NULL,
	display_name text NOT NULL,
	roles        text[] NOT NULL,
	status       text NOT NULL,
	locked_until timestamptz,
	created_at   timestamptz NOT NULL,
	PRIMARY KEY (tenant, id)
);
CREATE INDEX users_created ON users (tenant, created_at DESC, id DESC);
COMMENT ON COLUMN users.email IS 'personal';
COMMENT ON COLUMN users.username IS 'personal';
COMMENT ON COLUMN users.display_name IS 'personal';
