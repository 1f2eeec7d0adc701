-- A cart takes as many units of a variant as cart/limits.rs says.
ALTER TABLE commerce.cart_items DROP CONSTRAINT cart_items_quantity_check;
UPDATE commerce.cart_items SET quantity = 999 WHERE quantity > 999;
ALTER TABLE commerce.cart_items ADD CONSTRAINT cart_items_quantity_check CHECK (quantity BETWEEN 1 AND 999);
