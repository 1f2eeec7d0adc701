\set taken :taken + 1
\set n :first + :client_id * 10000000 + :taken
\set sku (:n * 7919) % :skus
BEGIN;
SELECT on_hand FROM bench.stock WHERE sku = :sku FOR UPDATE;
UPDATE bench.stock SET on_hand = on_hand - 1 WHERE sku = :sku;
INSERT INTO bench.orders (id, email, total_minor, currency, address) VALUES (public.bench_id('5', :n), 'ada@example.com', 1250, 'USD', '{"name": "Ada Lovelace", "line1": "12 St James''s Square", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"}');
INSERT INTO bench.order_lines (order_id, sku, title, quantity, unit_price_minor) VALUES (public.bench_id('5', :n), :sku, 'Thing', 1, 1250);
INSERT INTO bench.payments (id, order_id, amount_minor, status) VALUES (public.bench_id('6', :n), public.bench_id('5', :n), 1250, 'pending');
COMMIT;
