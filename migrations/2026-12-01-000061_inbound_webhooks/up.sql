-- Events that payment providers have reported. Each is stored once, however often it is sent, and a job applies it.
CREATE TABLE commerce.inbound_webhooks (
    id uuid CONSTRAINT inbound_webhooks_pkey PRIMARY KEY,
    provider text NOT NULL CONSTRAINT inbound_webhooks_provider_check CHECK (provider ~ '^[a-z][a-z0-9_]{0,39}$'),
    -- The provider's own id of the event.
    event_id text NOT NULL CONSTRAINT inbound_webhooks_event_id_check CHECK (length(event_id) BETWEEN 1 AND 255),
    -- What was read from the verified body.
    event jsonb NOT NULL,
    status text NOT NULL CONSTRAINT inbound_webhooks_status_check
        CHECK (status IN ('received', 'processed', 'ignored', 'failed')),
    -- Why it was not applied yet.
    error text,
    received_at timestamptz NOT NULL DEFAULT commerce.clock(),
    processed_at timestamptz,
    CONSTRAINT inbound_webhooks_event_key UNIQUE (provider, event_id)
);
CREATE INDEX inbound_webhooks_received_at_idx ON commerce.inbound_webhooks (received_at, id);
CREATE INDEX inbound_webhooks_status_idx ON commerce.inbound_webhooks (status, received_at, id);
