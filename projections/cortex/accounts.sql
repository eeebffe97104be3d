CREATE TABLE accounts (
	tenant              uuid NOT NULL,
	id                  uuid NOT NULL,
	version             integer NOT NULL,
	status              text NOT NULL,
	roles               text[] NOT NULL,
	sessions_valid_from timestamptz NOT NULL,
	PRIMARY KEY (tenant, id)
);
