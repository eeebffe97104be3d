CREATE TABLE tenants (
	tenant     uuid NOT NULL,
	id         uuid NOT NULL,
	version    integer NOT NULL,
	name       text NOT NULL,
	status     text NOT NULL,
	root       boolean NOT NULL,
	domain     text NOT NULL, -- the primary one
	domains    text[] NOT NULL, -- verified
	pending    text[] NOT NULL, -- claimed, not verified
	locale     text NOT NULL,
	logo_url   text NOT NULL,
	color      text NOT NULL,
	client_url text NOT NULL,
	created_at timestamptz NOT NULL,
	PRIMARY KEY (tenant, id)
);
CREATE INDEX tenants_domains ON tenants USING gin (domains);
