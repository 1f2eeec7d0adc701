-- Parcels by line and quantity, their way in checkpoints, and what becomes of those that do not arrive.

-- A carrier uses a number once; two carriers may use the same. Numbers that were given to several shipments get an
-- ending.
UPDATE commerce.shipments s SET tracking_number = s.tracking_number || '-' || d.place
FROM (SELECT id, row_number() OVER (PARTITION BY lower(coalesce(carrier, '')), tracking_number ORDER BY created_at, id) AS place
      FROM commerce.shipments WHERE tracking_number IS NOT NULL) d
WHERE d.id = s.id AND d.place > 1;
-- A shipment without a number gets one of the shop's own.
UPDATE commerce.shipments SET tracking_number = 'S' || upper(replace(id::text, '-', '')) WHERE tracking_number IS NULL;

DROP INDEX commerce.shipments_tracking_number_idx;
ALTER TABLE commerce.shipments
    ALTER COLUMN tracking_number SET NOT NULL,
    DROP CONSTRAINT shipments_status_check,
    ADD CONSTRAINT shipments_status_check CHECK (status IN (
        'pending', 'shipped', 'in_transit', 'out_for_delivery', 'delivered', 'failed_attempt', 'returned', 'lost', 'cancelled')),
    -- The parcel that was lost or came back, whose units this one brings again.
    ADD COLUMN replaces uuid CONSTRAINT shipments_replaces_fkey REFERENCES commerce.shipments (id),
    ADD CONSTRAINT shipments_replaces_check CHECK (replaces <> id),
    ADD COLUMN version integer NOT NULL DEFAULT 1;
UPDATE commerce.shipments SET shipped_at = created_at WHERE shipped_at IS NULL AND status NOT IN ('pending', 'cancelled');
ALTER TABLE commerce.shipments
    ADD CONSTRAINT shipments_shipped_at_check CHECK ((shipped_at IS NULL) = (status IN ('pending', 'cancelled')));
CREATE UNIQUE INDEX shipments_tracking_number_key
    ON commerce.shipments (tracking_number, lower(coalesce(carrier, '')));
CREATE INDEX shipments_replaces_idx ON commerce.shipments (replaces) WHERE replaces IS NOT NULL;
-- The list of all shipments, newest first.
CREATE INDEX shipments_created_at_idx ON commerce.shipments (created_at, id);

-- Where a parcel was, when, and what the carrier said about it. Append-only.
CREATE TABLE commerce.shipment_checkpoints (
    id uuid CONSTRAINT shipment_checkpoints_pkey PRIMARY KEY,
    shipment_id uuid NOT NULL
        CONSTRAINT shipment_checkpoints_shipment_id_fkey REFERENCES commerce.shipments (id),
    status text NOT NULL CONSTRAINT shipment_checkpoints_status_check CHECK (status IN (
        'shipped', 'in_transit', 'out_for_delivery', 'delivered', 'failed_attempt', 'returned', 'lost')),
    location text CONSTRAINT shipment_checkpoints_location_check CHECK (length(location) BETWEEN 1 AND 200),
    message text CONSTRAINT shipment_checkpoints_message_check CHECK (length(message) BETWEEN 1 AND 1000),
    occurred_at timestamptz NOT NULL,
    -- The carrier's own id of the event, or what tells it from others: one event is one checkpoint.
    event_key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT commerce.clock(),
    CONSTRAINT shipment_checkpoints_event_key_key UNIQUE (shipment_id, event_key)
);
CREATE INDEX shipment_checkpoints_occurred_at_idx ON commerce.shipment_checkpoints (shipment_id, occurred_at, id);
