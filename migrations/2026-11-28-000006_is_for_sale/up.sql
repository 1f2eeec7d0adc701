-- The one rule of what is for sale, for the view of what can be bought and for a checkout, which has both rows in hand. Postgres
-- puts its body in the place of the call.
CREATE FUNCTION commerce.is_for_sale(variant_active boolean, product_status text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT variant_active AND product_status = 'active'
$$;

CREATE OR REPLACE VIEW commerce.availability AS
SELECT variant.id AS variant_id, variant.product_id, variant.active,
       commerce.is_for_sale(variant.active, product.status) AS for_sale,
       coalesce((SELECT stock.available FROM commerce.available_stock AS stock WHERE stock.variant_id = variant.id), 0)
           AS available
FROM commerce.variants AS variant
LEFT JOIN commerce.products AS product ON product.id = variant.product_id;
