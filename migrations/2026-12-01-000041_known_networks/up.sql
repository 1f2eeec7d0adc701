-- The networks from which a user has logged in or has reset the password. Guesses from elsewhere do not lock them out.
CREATE TABLE commerce.known_networks (
    user_id uuid NOT NULL CONSTRAINT known_networks_user_id_fkey REFERENCES commerce.users (id) ON DELETE CASCADE,
    -- An address of IPv4, or a /64 of IPv6.
    network text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT known_networks_pkey PRIMARY KEY (user_id, network)
);
CREATE INDEX known_networks_seen_at_idx ON commerce.known_networks (seen_at);

-- The token that was exchanged for this one. Two that were exchanged for the same one within the time of grace are
-- siblings: the first of them that is used ends the other.
ALTER TABLE commerce.refresh_tokens ADD COLUMN exchanged_for bytea;
