-- One query, one snapshot: each branch finds the breaches of one rule.

-- I1: a level is the sum of its ledger, and what is reserved is the sum of its live reservations.
SELECT 'I1' AS invariant, 'stock_levels ' || l.variant_id || ' ' || l.location_id AS subject,
       'on_hand ' || l.on_hand || ', ledger ' || coalesce(m.on_hand, 0) AS detail
FROM commerce.stock_levels l
LEFT JOIN (SELECT variant_id, location_id, sum(on_hand_delta) AS on_hand FROM commerce.stock_movements GROUP BY 1, 2) m
    USING (variant_id, location_id)
WHERE l.on_hand <> coalesce(m.on_hand, 0)
UNION ALL
SELECT 'I1', 'stock_levels ' || l.variant_id || ' ' || l.location_id,
       'reserved ' || l.reserved || ', ledger ' || coalesce(m.reserved, 0)
FROM commerce.stock_levels l
LEFT JOIN (SELECT variant_id, location_id, sum(reserved_delta) AS reserved FROM commerce.stock_movements GROUP BY 1, 2) m
    USING (variant_id, location_id)
WHERE l.reserved <> coalesce(m.reserved, 0)
UNION ALL
SELECT 'I1', 'stock_levels ' || l.variant_id || ' ' || l.location_id,
       'reserved ' || l.reserved || ', live reservations ' || coalesce(r.quantity, 0)
FROM commerce.stock_levels l
LEFT JOIN (SELECT variant_id, location_id, sum(quantity) AS quantity FROM commerce.stock_reservations
           WHERE status IN ('held', 'committed') GROUP BY 1, 2) r USING (variant_id, location_id)
WHERE l.reserved <> coalesce(r.quantity, 0)
UNION ALL
SELECT 'I1', 'stock_levels ' || variant_id || ' ' || location_id, 'on_hand ' || on_hand || ', reserved ' || reserved
FROM commerce.stock_levels WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand
UNION ALL
-- I1: an order that is to be delivered has exactly its unshipped units reserved, of what was counted when it was ordered; a
-- cancelled one has none.
SELECT 'I1', 'orders ' || o.id, 'status ' || o.status || ', variant ' || w.variant_id || ': unshipped ' || w.quantity
       || ', reserved ' || coalesce(r.quantity, 0)
FROM commerce.orders o
JOIN (SELECT order_id, variant_id, sum(CASE WHEN track_inventory THEN quantity - shipped_quantity ELSE 0 END) AS quantity
      FROM commerce.order_lines GROUP BY 1, 2) w
    ON w.order_id = o.id
LEFT JOIN (SELECT order_id, variant_id, sum(quantity) AS quantity FROM commerce.stock_reservations
           WHERE status IN ('held', 'committed') AND order_id IS NOT NULL GROUP BY 1, 2) r
    ON r.order_id = o.id AND r.variant_id = w.variant_id
WHERE coalesce(r.quantity, 0) <> CASE WHEN o.status = 'cancelled' THEN 0 ELSE w.quantity END
UNION ALL
SELECT 'I1', 'stock_reservations ' || r.id, 'is ' || r.status || ' while its order is ' || o.status
FROM commerce.stock_reservations r JOIN commerce.orders o ON o.id = r.order_id
WHERE (r.status = 'held' AND o.status <> 'pending_payment') OR (r.status = 'committed' AND o.status = 'pending_payment')
UNION ALL
-- I1: what left for an order is what its lines count as shipped, of what was counted, and no more of it came back.
SELECT 'I1', 'orders ' || w.order_id, 'variant ' || w.variant_id || ': shipped ' || w.quantity || ', ledger ' || coalesce(m.consumed, 0)
       || ', returned ' || coalesce(m.returned, 0)
FROM (SELECT order_id, variant_id, sum(CASE WHEN track_inventory THEN shipped_quantity ELSE 0 END) AS quantity
      FROM commerce.order_lines GROUP BY 1, 2) w
LEFT JOIN (SELECT order_id, variant_id, -coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'consume'), 0) AS consumed,
                  coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'return'), 0) AS returned
           FROM commerce.stock_movements WHERE order_id IS NOT NULL GROUP BY 1, 2) m USING (order_id, variant_id)
WHERE w.quantity <> coalesce(m.consumed, 0) OR coalesce(m.returned, 0) > coalesce(m.consumed, 0)
UNION ALL
-- I2: what an order counts as paid and refunded is what its payments say.
SELECT 'I2', 'orders ' || o.id, 'paid ' || o.paid_minor || ', payments ' || coalesce(p.paid, 0)
       || '; refunded ' || o.refunded_minor || ', payments ' || coalesce(p.refunded, 0)
FROM commerce.orders o
LEFT JOIN (SELECT order_id, sum(captured_minor) FILTER (WHERE succeeded_at IS NOT NULL) AS paid, sum(refunded_minor) AS refunded
           FROM commerce.payments GROUP BY 1) p ON p.order_id = o.id
WHERE o.paid_minor <> coalesce(p.paid, 0) OR o.refunded_minor <> coalesce(p.refunded, 0)
UNION ALL
SELECT 'I2', 'payments ' || p.id, 'refunded ' || p.refunded_minor || ', refunds ' || coalesce(r.done, 0)
       || ', promised ' || coalesce(r.promised, 0) || ' of ' || p.captured_minor
FROM commerce.payments p
LEFT JOIN (SELECT payment_id, sum(amount_minor) FILTER (WHERE status = 'succeeded') AS done,
                  sum(amount_minor) FILTER (WHERE status <> 'failed') AS promised
           FROM commerce.refunds GROUP BY 1) r ON r.payment_id = p.id
WHERE p.refunded_minor <> coalesce(r.done, 0) OR coalesce(r.promised, 0) > p.captured_minor
UNION ALL
-- I2: what an order shows as authorized is what providers hold for it.
SELECT 'I2', 'orders ' || o.id, 'authorized ' || o.authorized_minor || ', payments ' || coalesce(p.held, 0)
FROM commerce.orders o
LEFT JOIN (SELECT order_id, sum(authorized_minor) AS held FROM commerce.payments
           WHERE status = 'authorized' GROUP BY 1) p ON p.order_id = o.id
WHERE o.authorized_minor <> coalesce(p.held, 0)
UNION ALL
-- I2: an order became paid if its money covers its total, and not without money unless there was nothing to pay.
SELECT 'I2', 'orders ' || id, 'paid_at is ' || coalesce(paid_at::text, 'unset') || ' with ' || paid_minor || ' of ' || total_minor
FROM commerce.orders
WHERE (paid_at IS NULL AND paid_minor >= total_minor) OR (paid_at IS NOT NULL AND paid_minor = 0 AND total_minor > 0)
UNION ALL
SELECT 'I2', 'orders ' || id, 'is ' || status || ' but not paid'
FROM commerce.orders WHERE status IN ('paid', 'processing', 'shipped', 'delivered') AND paid_at IS NULL
UNION ALL
-- I2: a cancelled order keeps no money once its refunds are done.
SELECT 'I2', 'orders ' || o.id, 'is cancelled and keeps ' || (o.paid_minor - o.refunded_minor) || ' with no refund under way'
FROM commerce.orders o
WHERE o.status = 'cancelled' AND o.paid_minor > o.refunded_minor
  AND o.paid_minor - o.refunded_minor > (SELECT coalesce(sum(amount_minor), 0) FROM commerce.refunds r
                                         WHERE r.order_id = o.id AND r.status IN ('pending', 'processing'))
UNION ALL
-- I2: no more units of a line are refunded than it has, for no more than all of them cost, and none came back that was
-- not shipped.
SELECT 'I2', 'order_lines ' || l.id, 'refunded ' || r.units || ' of ' || l.quantity || ' units for ' || r.amount
       || ', took back ' || r.restocked || ' of ' || l.shipped_quantity
FROM commerce.order_lines l
JOIN commerce.orders o ON o.id = l.order_id
JOIN (SELECT u.order_line_id, sum(CASE WHEN f.counts THEN u.quantity ELSE 0 END) AS units,
             sum(CASE WHEN f.counts THEN u.amount_minor ELSE 0 END) AS amount,
             sum(CASE WHEN u.restocked THEN u.quantity ELSE 0 END) AS restocked
      FROM commerce.refund_lines u
      CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM commerce.refunds f
                                         WHERE (f.id = u.refund_id OR f.part_of = u.refund_id) AND f.status <> 'failed') AS counts) f
      GROUP BY 1) r ON r.order_line_id = l.id
WHERE r.units > l.quantity OR r.restocked > l.shipped_quantity OR r.amount > o.total_minor
   OR (o.total_minor = o.subtotal_minor AND r.amount > l.line_total_minor)
UNION ALL
-- I2: a refund that is under way has a job that sees to it, except for a manual payment, which a person pays back.
SELECT 'I2', 'refunds ' || r.id, 'is ' || r.status || ' and no job sees to it'
FROM commerce.refunds r JOIN commerce.payments p ON p.id = r.payment_id
WHERE r.status IN ('pending', 'processing') AND NOT (r.status = 'pending' AND p.provider = 'manual')
  AND NOT EXISTS (SELECT FROM commerce.jobs j
                  WHERE j.kind = 'refund_payment' AND j.state <> 'dead' AND j.payload ->> 'refund_id' = r.id::text)
UNION ALL
-- I4: an ordered cart has its order, and an order's cart is closed.
SELECT 'I4', 'carts ' || c.id, 'is ' || c.status || ' and has ' || CASE WHEN o.id IS NULL THEN 'no order' ELSE 'an order' END
FROM commerce.carts c LEFT JOIN commerce.orders o ON o.cart_id = c.id
WHERE (c.status = 'ordered') <> (o.id IS NOT NULL)
UNION ALL
SELECT 'I4', 'payments ' || p.id, 'is ' || p.status || ' without succeeded_at in step'
FROM commerce.payments p
WHERE (p.succeeded_at IS NOT NULL) <> (p.status IN ('succeeded', 'partially_refunded', 'refunded'))
UNION ALL
-- I5: nothing that should have ended is still open long after its time.
-- I5: only an order with an open attempt may wait for longer, for its provider: an hour, unless the shop sets another grace.
SELECT 'I5', 'orders ' || o.id, 'waits for payment since it expired at ' || o.expires_at
FROM commerce.orders o
WHERE o.status = 'pending_payment'
  AND o.expires_at < commerce.clock() - CASE
      WHEN EXISTS (SELECT FROM commerce.payments p
                   WHERE p.order_id = o.id AND p.status IN ('pending', 'requires_action', 'processing', 'authorized'))
      THEN interval '2 hours' ELSE interval '10 minutes' END
UNION ALL
SELECT 'I5', 'stock_reservations ' || id, 'is held since it lapsed at ' || expires_at
FROM commerce.stock_reservations WHERE status = 'held' AND expires_at < commerce.clock() - interval '2 hours'
UNION ALL
SELECT 'I5', 'jobs ' || id, 'is leased since its lease lapsed at ' || run_at
FROM commerce.jobs WHERE state = 'leased' AND run_at < commerce.clock() - interval '2 hours'
UNION ALL
-- I5: an event that a provider has reported is applied, or has a job.
SELECT 'I5', 'inbound_webhooks ' || w.id, 'is not applied, and no job sees to it'
FROM commerce.inbound_webhooks w
WHERE w.status = 'received'
  AND NOT EXISTS (SELECT FROM commerce.jobs j
                  WHERE j.kind = 'process_webhook' AND j.state <> 'dead' AND j.payload ->> 'webhook_id' = w.id::text)
UNION ALL
-- I5: a mail that was not sent has a job, alive or dead, where a person sees it.
SELECT 'I5', 'emails ' || e.id, 'is not sent, and has no job'
FROM commerce.emails e
WHERE e.sent_at IS NULL AND e.created_at < commerce.clock() - interval '10 minutes'
  AND NOT EXISTS (SELECT FROM commerce.jobs j WHERE j.kind = 'send_email' AND j.payload ->> 'email_id' = e.id::text)
UNION ALL
-- I6: an order's sums are those of its lines.
SELECT 'I6', 'orders ' || o.id, 'subtotal ' || o.subtotal_minor || ', lines ' || coalesce(l.subtotal, 0)
FROM commerce.orders o
LEFT JOIN (SELECT order_id, sum(line_total_minor) AS subtotal FROM commerce.order_lines GROUP BY 1) l ON l.order_id = o.id
WHERE o.subtotal_minor <> coalesce(l.subtotal, 0)
UNION ALL
SELECT 'I6', 'orders ' || id, 'total ' || total_minor || ', its parts ' || parts || ', tax ' || tax_minor || ', of it included '
       || tax_included_minor
FROM commerce.orders
CROSS JOIN LATERAL (SELECT subtotal_minor - discount_minor + shipping_minor + tax_minor - tax_included_minor AS parts) p
WHERE total_minor <> parts OR tax_included_minor NOT BETWEEN 0 AND tax_minor
UNION ALL
-- I7: every file that an image shows is on the list of files as that image's, so that nobody deletes it.
SELECT 'I7', 'product_images ' || i.id, 'shows the file ' || f.key || ', which is not its own'
FROM commerce.product_images i
CROSS JOIN LATERAL (SELECT i.storage_key AS key UNION ALL SELECT v ->> 'key' FROM jsonb_array_elements(i.variants) v) f
LEFT JOIN commerce.media_files m ON m.key = f.key AND m.image_id = i.id
WHERE i.storage_key IS NOT NULL AND m.key IS NULL
