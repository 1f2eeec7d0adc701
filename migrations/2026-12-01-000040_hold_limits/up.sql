-- Since when the cart, with the carts of the same user before it, holds stock. A new time begins after a day.
ALTER TABLE commerce.carts ADD COLUMN held_since timestamptz;
