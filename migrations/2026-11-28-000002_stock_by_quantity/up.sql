-- Stock moves by quantity, comes back with returns, and what can be bought is told in one place.

ALTER TABLE commerce.stock_movements DROP CONSTRAINT stock_movements_kind_check,
    ADD CONSTRAINT stock_movements_kind_check CHECK (kind IN ('adjust', 'reserve', 'release', 'consume', 'return'));

-- More of one thing than any shop keeps at a location. `inventory::ON_HAND_MAX` is the same number.
ALTER TABLE commerce.stock_levels
    ADD CONSTRAINT stock_levels_on_hand_max_check CHECK (on_hand <= 1000000000);

-- Units of each variant that could be reserved now, over all locations; a variant without a level is absent. Holds of carts that
-- have lapsed count as free. Ask for one variant by a scalar subquery, so that the condition reaches the levels.
CREATE INDEX stock_reservations_held_variant_id_idx ON commerce.stock_reservations (variant_id, expires_at)
    WHERE status = 'held' AND cart_id IS NOT NULL;
CREATE VIEW commerce.available_stock AS
SELECT level.variant_id,
       (sum(level.on_hand - level.reserved)
        + coalesce((SELECT sum(hold.quantity) FROM commerce.stock_reservations AS hold
                    WHERE hold.variant_id = level.variant_id
                      AND hold.status = 'held' AND hold.cart_id IS NOT NULL AND hold.expires_at <= commerce.clock()), 0))::bigint
           AS available
FROM commerce.stock_levels AS level
GROUP BY level.variant_id;

-- What shoppers can buy now: an active variant of an active product is for sale, and so many units of it are available.
CREATE VIEW commerce.availability AS
SELECT variant.id AS variant_id, variant.product_id, variant.active,
       variant.active AND product.status = 'active' AS for_sale,
       coalesce((SELECT stock.available FROM commerce.available_stock AS stock WHERE stock.variant_id = variant.id), 0)
           AS available
FROM commerce.variants AS variant
LEFT JOIN commerce.products AS product ON product.id = variant.product_id;

-- A product is in stock if any of its active variants can be had.
CREATE OR REPLACE FUNCTION commerce.is_in_stock(product uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM commerce.availability AS offer
                   WHERE offer.product_id = product AND offer.active AND offer.available > 0)
$$;
