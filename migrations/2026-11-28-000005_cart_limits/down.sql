ALTER TABLE commerce.cart_items DROP CONSTRAINT cart_items_quantity_check;
ALTER TABLE commerce.cart_items ADD CONSTRAINT cart_items_quantity_check CHECK (quantity BETWEEN 1 AND 1000);
