-- How much of each rate limit is used, for all processes together. A crash of Postgres empties it, which forgives; writing it costs
-- no flush to disk.
CREATE UNLOGGED TABLE commerce.rate_limits (
    -- The limit's name, and the client's address or the SHA-256 of an account's.
    key text CONSTRAINT rate_limits_pkey PRIMARY KEY,
    -- When all of it will be free again (the theoretical arrival time of GCRA).
    free_at timestamptz NOT NULL,
    -- Whether the last request was let through.
    allowed boolean NOT NULL
);
CREATE INDEX rate_limits_free_at_idx ON commerce.rate_limits (free_at);
