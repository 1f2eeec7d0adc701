-- Everything about one's own account: deletion, cookie sessions, a change of address, the address book.

-- A deleted account stays as a row without a person, because its orders refer to it.
ALTER TABLE commerce.users ADD COLUMN IF NOT EXISTS deleted_at timestamptz;

-- SHA-256 of the value of a session cookie; none for a session that is carried by tokens.
ALTER TABLE commerce.sessions
    ADD COLUMN cookie_hash bytea CONSTRAINT sessions_cookie_hash_check CHECK (length(cookie_hash) = 32);
CREATE UNIQUE INDEX sessions_cookie_hash_key ON commerce.sessions (cookie_hash) WHERE cookie_hash IS NOT NULL;

-- Used tokens are forgotten when no session could still go on from them.
CREATE INDEX refresh_tokens_used_at_idx ON commerce.refresh_tokens (used_at) WHERE used_at IS NOT NULL;

-- The address that a change is about: the code was mailed there, and proves it.
ALTER TABLE commerce.one_time_codes
    ADD COLUMN new_email text,
    ADD CONSTRAINT one_time_codes_new_email_check CHECK ((purpose = 'change_email') = (new_email IS NOT NULL));

-- Where a user has things sent to.
CREATE TABLE commerce.addresses (
    id uuid CONSTRAINT addresses_pkey PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT addresses_user_id_fkey REFERENCES commerce.users (id) ON DELETE CASCADE,
    -- As orders keep theirs: name, line1, line2, city, region, postal_code, country, phone.
    address jsonb NOT NULL CONSTRAINT addresses_address_check CHECK (jsonb_typeof(address) = 'object'),
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    updated_at timestamptz NOT NULL DEFAULT commerce.clock(),
    version integer NOT NULL DEFAULT 1
);
CREATE INDEX addresses_user_id_idx ON commerce.addresses (user_id, created_at, id);
CREATE UNIQUE INDEX addresses_default_key ON commerce.addresses (user_id) WHERE is_default;
