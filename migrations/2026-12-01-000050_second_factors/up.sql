-- The second factor of an account: an authenticator app (TOTP, RFC 6238), and codes for when the app is lost. The app's
-- secret is derived from the server's secret key and the salt, so this table does not tell it.
CREATE TABLE commerce.second_factors (
    user_id uuid CONSTRAINT second_factors_pkey PRIMARY KEY
        CONSTRAINT second_factors_user_id_fkey REFERENCES commerce.users (id) ON DELETE CASCADE,
    salt bytea NOT NULL CONSTRAINT second_factors_salt_check CHECK (octet_length(salt) = 16),
    -- When a first code has shown that the app knows the secret. Before that, no login asks for it.
    confirmed_at timestamptz,
    -- The last time step whose code was used, in units of 30 seconds since 1970. No earlier code is accepted.
    last_step bigint NOT NULL DEFAULT 0,
    -- SHA-256 of the recovery codes that were not used yet.
    recovery_hashes bytea[] NOT NULL DEFAULT '{}'
);
