CREATE OR REPLACE FUNCTION commerce.is_in_stock(product uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM commerce.variants v JOIN commerce.stock_levels l ON l.variant_id = v.id
        WHERE v.product_id = product AND v.active AND l.on_hand > l.reserved)
$$;
DROP VIEW commerce.availability;
DROP VIEW commerce.available_stock;
DROP INDEX commerce.stock_reservations_held_variant_id_idx;
ALTER TABLE commerce.stock_levels DROP CONSTRAINT stock_levels_on_hand_max_check;
-- What came back stays in the sums, under the kind that was there for it.
UPDATE commerce.stock_movements SET kind = 'adjust', reason = concat_ws(': ', 'return', reason) WHERE kind = 'return';
ALTER TABLE commerce.stock_movements DROP CONSTRAINT stock_movements_kind_check,
    ADD CONSTRAINT stock_movements_kind_check CHECK (kind IN ('adjust', 'reserve', 'release', 'consume'));
