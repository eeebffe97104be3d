CREATE TABLE slugs (
	tenant uuid NOT NULL,
	slug   text NOT NULL,
	post   uuid NOT NULL, -- the last that took the slug
	PRIMARY KEY (tenant, slug)
);
CREATE INDEX slugs_post ON slugs (tenant, post);
