-- Links to one order that are mailed to the order's address. A token is derived from its id under the server's key; only
-- its hash is stored. It is good for 30 days.
CREATE TABLE commerce.order_links (
    id uuid CONSTRAINT order_links_pkey PRIMARY KEY,
    order_id uuid NOT NULL CONSTRAINT order_links_order_id_fkey REFERENCES commerce.orders (id),
    token_hash bytea NOT NULL CONSTRAINT order_links_token_hash_check CHECK (length(token_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT order_links_token_hash_key UNIQUE (token_hash)
);
CREATE INDEX order_links_order_id_idx ON commerce.order_links (order_id);
CREATE INDEX order_links_created_at_idx ON commerce.order_links (created_at);
