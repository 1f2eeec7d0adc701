CREATE OR REPLACE VIEW commerce.availability AS
SELECT variant.id AS variant_id, variant.product_id, variant.active,
       variant.active AND product.status = 'active' AS for_sale,
       coalesce((SELECT stock.available FROM commerce.available_stock AS stock WHERE stock.variant_id = variant.id), 0)
           AS available
FROM commerce.variants AS variant
LEFT JOIN commerce.products AS product ON product.id = variant.product_id;

DROP FUNCTION commerce.is_for_sale(boolean, text);
