-- Orders in one parcel share its number, and carriers use numbers again.
ALTER TABLE commerce.shipments DROP CONSTRAINT shipments_tracking_number_key;
CREATE INDEX shipments_tracking_number_idx ON commerce.shipments (tracking_number) WHERE tracking_number IS NOT NULL;
