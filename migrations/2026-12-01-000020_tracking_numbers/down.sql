DROP INDEX commerce.shipments_tracking_number_idx;
-- The first shipment keeps a number that several have.
UPDATE commerce.shipments s SET tracking_number = NULL
WHERE EXISTS (SELECT FROM commerce.shipments o
              WHERE o.tracking_number = s.tracking_number AND (o.created_at, o.id) < (s.created_at, s.id));
ALTER TABLE commerce.shipments ADD CONSTRAINT shipments_tracking_number_key UNIQUE (tracking_number);
