CREATE SCHEMA IF NOT EXISTS vault;

-- One row: which master key wraps everything below.
CREATE TABLE IF NOT EXISTS vault.master (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    key_id bytea NOT NULL,
    proof  bytea NOT NULL
);

-- wrapped is NULL once the key is gone for good; the row stays, so that no new key is ever made.
CREATE TABLE IF NOT EXISTS vault.tenant_keys (
    tenant  uuid PRIMARY KEY,
    wrapped bytea,
    made_at timestamptz NOT NULL DEFAULT now(),
    gone_at timestamptz
);

CREATE TABLE IF NOT EXISTS vault.subject_keys (
    tenant  uuid NOT NULL,
    subject uuid NOT NULL,
    wrapped bytea,
    made_at timestamptz NOT NULL DEFAULT now(),
    gone_at timestamptz,
    PRIMARY KEY (tenant, subject)
);

CREATE TABLE IF NOT EXISTS vault.secrets (
    name    text PRIMARY KEY,
    wrapped bytea NOT NULL
);

-- Erasures that were decided and are not done yet, so that a crash in between is made good.
CREATE TABLE IF NOT EXISTS vault.erasures (
    tenant   uuid NOT NULL,
    subject  uuid NOT NULL,
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, subject, asked_at)
);
