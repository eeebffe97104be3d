CREATE TABLE sessions (
	tenant     uuid NOT NULL,
	id         uuid NOT NULL,
	account    uuid NOT NULL,
	started_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	ended_at   timestamptz,
	PRIMARY KEY (tenant, id)
);
CREATE INDEX sessions_account ON sessions (tenant, account) WHERE ended_at IS NULL;
