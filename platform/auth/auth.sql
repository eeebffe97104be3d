CREATE SCHEMA IF NOT EXISTS auth;

-- private is sealed by the vault. At most one key signs and one waits, already published.
CREATE TABLE IF NOT EXISTS auth.signing_keys (
    kid        text PRIMARY KEY,
    state      text NOT NULL CHECK (state IN ('next', 'active', 'retired')),
    public     bytea NOT NULL,
    private    bytea NOT NULL,
    made_at    timestamptz NOT NULL,
    retired_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS signing_keys_one ON auth.signing_keys (state) WHERE state <> 'retired';

-- A family is a session. A used token stays until it expires, so that using it again is noticed.
CREATE TABLE IF NOT EXISTS auth.refresh_tokens (
    hash       bytea PRIMARY KEY,
    tenant     uuid NOT NULL,
    account    uuid NOT NULL,
    session    uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    used_at    timestamptz,
    salt       bytea
);
CREATE INDEX IF NOT EXISTS refresh_tokens_session ON auth.refresh_tokens (session);
CREATE INDEX IF NOT EXISTS refresh_tokens_account ON auth.refresh_tokens (tenant, account);
CREATE INDEX IF NOT EXISTS refresh_tokens_expiry ON auth.refresh_tokens (expires_at);

-- account and ip are HMACs: an account that does not exist is counted like one that does.
CREATE TABLE IF NOT EXISTS auth.login_failures (
    account  bytea NOT NULL,
    ip       bytea NOT NULL,
    failures int NOT NULL,
    last_at  timestamptz NOT NULL,
    PRIMARY KEY (account, ip)
);
CREATE INDEX IF NOT EXISTS login_failures_age ON auth.login_failures (last_at);
