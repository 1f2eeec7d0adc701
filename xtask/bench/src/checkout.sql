\set taken :taken + 1
\set n :first + :client_id * :each + :taken
BEGIN;
SELECT pg_try_advisory_xact_lock(:n);
SELECT fingerprint, response FROM commerce.idempotency_keys WHERE scope = sha256(('key-' || :n)::bytea) AND expires_at > commerce.clock() LIMIT 1;
SELECT id AS cart FROM commerce.carts WHERE status = 'open' AND token_hash = sha256(('bench-cart-token-' || :n)::bytea) LIMIT 1 FOR UPDATE \gset
SELECT v.id AS variant, p.id AS product, p.title AS product_title, v.title AS variant_title, v.sku, i.quantity, v.price_minor, v.currency, a.for_sale FROM commerce.cart_items i JOIN commerce.variants v ON i.variant_id = v.id JOIN commerce.products p ON v.product_id = p.id JOIN commerce.availability a ON a.variant_id = i.variant_id WHERE i.cart_id = :cart::uuid ORDER BY i.created_at, i.variant_id \gset
INSERT INTO commerce.orders (id, source, cart_id, token_hash, email, currency, subtotal_minor, discount_minor, shipping_minor, tax_minor, tax_included_minor, total_minor, status, payment_status, shipping_address, expires_at) VALUES (bench_id('5', :n), 'cart', :cart::uuid, sha256(('bench-cart-token-' || :n)::bytea), 'ada@example.com', 'USD', 1250, 0, 0, 0, 0, 1250, 'pending_payment', 'unpaid', '{"name": "Ada Lovelace", "line1": "12 St James''s Square", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"}', commerce.clock_after('15 min')) RETURNING *;
INSERT INTO commerce.order_lines (id, order_id, variant_id, position, sku, title, quantity, unit_price_minor, line_total_minor) VALUES (bench_id('6', :n), bench_id('5', :n), :variant::uuid, 0, 'SKU', 'Thing', 1, 1250, 1250) RETURNING *;
INSERT INTO commerce.order_events (id, order_id, kind, data, actor, request_id) VALUES (bench_id('7', :n), bench_id('5', :n), 'placed', '{"total_minor": 1250, "currency": "USD"}', 'guest', '01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b1e');
INSERT INTO commerce.emails (id, dedupe_key, template, recipient, data) VALUES (bench_id('8', :n), 'order_received: ' || bench_id('5', :n), 'order_received', 'ada@example.com', jsonb_build_object('order_id', bench_id('5', :n))) ON CONFLICT (dedupe_key) DO NOTHING;
INSERT INTO commerce.jobs (id, kind, payload, attempts_max) VALUES (bench_id('9', :n), 'send_email', jsonb_build_object('email_id', bench_id('8', :n)), 12);
UPDATE commerce.carts SET status = 'ordered', updated_at = commerce.clock() WHERE id = :cart::uuid;
SELECT id, priority FROM commerce.stock_locations;
SELECT variant_id, location_id AS location, on_hand, reserved FROM commerce.stock_levels WHERE variant_id = ANY(ARRAY[:variant::uuid]) ORDER BY variant_id, location_id FOR UPDATE \gset
INSERT INTO commerce.stock_reservations (id, variant_id, location_id, quantity, status, order_id) VALUES (bench_id('a', :n), :variant::uuid, :location::uuid, 1, 'held', bench_id('5', :n));
UPDATE commerce.stock_levels SET on_hand = on_hand + 0, reserved = reserved + 1, updated_at = commerce.clock() WHERE variant_id = :variant::uuid AND location_id = :location::uuid;
INSERT INTO commerce.stock_movements (id, variant_id, location_id, kind, on_hand_delta, reserved_delta, reservation_id, order_id, actor) VALUES (bench_id('b', :n), :variant::uuid, :location::uuid, 'reserve', 0, 1, bench_id('a', :n), bench_id('5', :n), 'guest');
INSERT INTO commerce.idempotency_keys (scope, fingerprint, response, created_at, expires_at) VALUES (sha256(('key-' || :n)::bytea), sha256('body'), jsonb_build_object('status', 201, 'headers', '[["ETag","1"],["Location","/v1/orders/01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b1e"]]'::jsonb, 'body', repeat('{"amount_due": {"amount": 1250,"currency": "USD"}', 24)), commerce.clock(), commerce.clock_after('24 h')) ON CONFLICT (scope) DO UPDATE SET response = excluded.response;
COMMIT;
