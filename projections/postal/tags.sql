CREATE TABLE tags (
	tenant  uuid NOT NULL,
	id      uuid NOT NULL,
	version integer NOT NULL,
	name    text NOT NULL,
	slug    text NOT NULL,
	slugs   text[] NOT NULL, -- today's and every one before
	PRIMARY KEY (tenant, id)
);
CREATE INDEX tags_slug ON tags (tenant, slug);
CREATE INDEX tags_slugs ON tags USING gin (slugs);
