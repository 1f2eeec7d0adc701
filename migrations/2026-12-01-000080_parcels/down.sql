DROP TABLE commerce.shipment_checkpoints;
DROP INDEX commerce.shipments_created_at_idx;
DROP INDEX commerce.shipments_replaces_idx;
DROP INDEX commerce.shipments_tracking_number_key;
-- A lost parcel is one that was on its way when it was last seen.
ALTER TABLE commerce.shipments
    DROP CONSTRAINT shipments_shipped_at_check,
    DROP COLUMN version,
    DROP COLUMN replaces,
    DROP CONSTRAINT shipments_status_check;
UPDATE commerce.shipments SET status = 'in_transit' WHERE status = 'lost';
ALTER TABLE commerce.shipments
    ADD CONSTRAINT shipments_status_check CHECK (status IN (
        'pending', 'shipped', 'in_transit', 'out_for_delivery', 'delivered', 'failed_attempt', 'returned', 'cancelled')),
    ALTER COLUMN tracking_number DROP NOT NULL;
CREATE INDEX shipments_tracking_number_idx ON commerce.shipments (tracking_number) WHERE tracking_number IS NOT NULL;
