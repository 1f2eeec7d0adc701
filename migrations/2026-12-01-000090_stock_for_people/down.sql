DROP TRIGGER stock_locations_search_update ON commerce.stock_locations;
DROP FUNCTION commerce.product_search_on_location();
CREATE OR REPLACE VIEW commerce.available_stock AS
SELECT level.variant_id,
       (sum(level.on_hand - level.reserved)
        + coalesce((SELECT sum(hold.quantity) FROM commerce.stock_reservations AS hold
                    WHERE hold.variant_id = level.variant_id
                      AND hold.status = 'held' AND hold.cart_id IS NOT NULL AND hold.expires_at <= commerce.clock()), 0))::bigint
           AS available
FROM commerce.stock_levels AS level
GROUP BY level.variant_id;
DROP TABLE commerce.stock_thresholds;
UPDATE commerce.stock_movements SET kind = 'adjust' WHERE kind IN ('transfer', 'repair');
ALTER TABLE commerce.stock_movements DROP CONSTRAINT stock_movements_kind_check,
    ADD CONSTRAINT stock_movements_kind_check CHECK (kind IN ('adjust', 'reserve', 'release', 'consume', 'return'));
-- Codes and priorities are unique again, also those of deleted locations.
UPDATE commerce.stock_locations SET code = left(code, 20) || '-' || id WHERE deleted_at IS NOT NULL;
UPDATE commerce.stock_locations AS location SET priority = ranked.rank
FROM (SELECT id, row_number() OVER (ORDER BY priority, id) AS rank FROM commerce.stock_locations) AS ranked
WHERE ranked.id = location.id;
DROP INDEX commerce.stock_locations_code_key;
ALTER TABLE commerce.stock_locations
    DROP CONSTRAINT stock_locations_deleted_at_check,
    DROP COLUMN active, DROP COLUMN version, DROP COLUMN updated_at, DROP COLUMN deleted_at,
    ADD CONSTRAINT stock_locations_code_key UNIQUE (code),
    ADD CONSTRAINT stock_locations_priority_key UNIQUE (priority);
