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
-- I1: an order that is to be delivered has exactly its unshipped units reserved, and those that are packed to be sent
-- again, of what was counted when it was ordered; a cancelled one has none.
SELECT 'I1', 'orders ' || o.id, 'status ' || o.status || ', variant ' || w.variant_id || ': unshipped ' || w.quantity
       || ', reserved ' || coalesce(r.quantity, 0)
FROM commerce.orders o
JOIN (SELECT l.order_id, l.variant_id,
             sum(CASE WHEN l.track_inventory
                      THEN l.quantity - l.cancelled_quantity - l.shipped_quantity + coalesce(p.again, 0) ELSE 0 END) AS quantity
      FROM commerce.order_lines l
      LEFT JOIN (SELECT u.order_line_id, sum(u.quantity) AS again
                 FROM commerce.shipment_lines u JOIN commerce.shipments s ON s.id = u.shipment_id
                 WHERE s.status = 'pending' AND s.replaces IS NOT NULL GROUP BY 1) p ON p.order_line_id = l.id
      GROUP BY 1, 2) w
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
-- I1: what left for an order is what was in its parcels, of what was counted, and no more of it came back.
SELECT 'I1', 'orders ' || w.order_id, 'variant ' || w.variant_id || ': sent ' || w.quantity || ', ledger ' || coalesce(m.consumed, 0)
       || ', returned ' || coalesce(m.returned, 0)
FROM (SELECT l.order_id, l.variant_id, sum(CASE WHEN l.track_inventory THEN coalesce(p.sent, 0) ELSE 0 END) AS quantity
      FROM commerce.order_lines l
      LEFT JOIN (SELECT u.order_line_id, sum(u.quantity) AS sent
                 FROM commerce.shipment_lines u JOIN commerce.shipments s ON s.id = u.shipment_id
                 WHERE s.shipped_at IS NOT NULL GROUP BY 1) p ON p.order_line_id = l.id
      GROUP BY 1, 2) w
LEFT JOIN (SELECT order_id, variant_id, -coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'consume'), 0) AS consumed,
                  coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'return'), 0) AS returned
           FROM commerce.stock_movements WHERE order_id IS NOT NULL GROUP BY 1, 2) m USING (order_id, variant_id)
WHERE w.quantity <> coalesce(m.consumed, 0) OR coalesce(m.returned, 0) > coalesce(m.consumed, 0)
UNION ALL
-- I8: a line counts as shipped what left with its parcels, once, and no unit is packed, shipped or cancelled twice.
SELECT 'I8', 'order_lines ' || l.id, 'shipped ' || l.shipped_quantity || ', in parcels that left ' || coalesce(p.sent, 0)
       || ', packed ' || coalesce(p.packed, 0) || ', cancelled ' || l.cancelled_quantity || ' of ' || l.quantity
FROM commerce.order_lines l
LEFT JOIN (SELECT u.order_line_id, sum(u.quantity) FILTER (WHERE s.shipped_at IS NOT NULL) AS sent,
                  sum(u.quantity) FILTER (WHERE s.status = 'pending') AS packed
           FROM commerce.shipment_lines u JOIN commerce.shipments s ON s.id = u.shipment_id
           WHERE s.replaces IS NULL GROUP BY 1) p ON p.order_line_id = l.id
WHERE l.shipped_quantity <> coalesce(p.sent, 0)
   OR l.shipped_quantity + l.cancelled_quantity + coalesce(p.packed, 0) > l.quantity
UNION ALL
-- I8: a parcel has units of its own order, and is sent again at most once, after it was lost or came back.
SELECT 'I8', 'shipments ' || s.id, 'has units of another order'
FROM commerce.shipments s
JOIN commerce.shipment_lines u ON u.shipment_id = s.id
JOIN commerce.order_lines l ON l.id = u.order_line_id
WHERE l.order_id <> s.order_id
UNION ALL
SELECT 'I8', 'shipments ' || f.id, 'is ' || f.status || ', has ' || coalesce(u.quantity, 0) || ' of line ' || a.order_line_id
       || ', sent again ' || a.quantity
FROM commerce.shipments f
JOIN (SELECT s.replaces, u.order_line_id, sum(u.quantity) AS quantity
      FROM commerce.shipments s JOIN commerce.shipment_lines u ON u.shipment_id = s.id
      WHERE s.replaces IS NOT NULL AND s.status <> 'cancelled' GROUP BY 1, 2) a ON a.replaces = f.id
LEFT JOIN commerce.shipment_lines u ON u.shipment_id = f.id AND u.order_line_id = a.order_line_id
WHERE f.status NOT IN ('lost', 'returned') OR a.quantity > coalesce(u.quantity, 0)
UNION ALL
-- I8: nothing is packed for an order that is cancelled.
SELECT 'I8', 'shipments ' || s.id, 'is ' || s.status || ' while its order is cancelled'
FROM commerce.shipments s JOIN commerce.orders o ON o.id = s.order_id
WHERE s.status <> 'cancelled' AND o.status = 'cancelled'
UNION ALL
-- I8: how much of an order was shipped and has arrived is what its parcels say.
SELECT 'I8', 'orders ' || o.id, 'is ' || o.status || ', ' || o.fulfillment_status || ' with ' || w.shipped || ' shipped, '
       || coalesce(p.delivered, 0) || ' delivered, ' || coalesce(p.back, 0) + w.returned || ' back of ' || w.wanted
FROM commerce.orders o
JOIN (SELECT order_id, sum(quantity - cancelled_quantity) AS wanted, sum(shipped_quantity) AS shipped,
             sum(returned_quantity) AS returned
      FROM commerce.order_lines GROUP BY 1) w ON w.order_id = o.id
LEFT JOIN (SELECT s.order_id, sum(u.quantity) FILTER (WHERE s.status = 'delivered') AS delivered,
                  sum(u.quantity - coalesce(a.quantity, 0)) FILTER (WHERE s.status = 'returned') AS back
           FROM commerce.shipments s
           JOIN commerce.shipment_lines u ON u.shipment_id = s.id
           LEFT JOIN (SELECT r.replaces, v.order_line_id, sum(v.quantity) AS quantity
                      FROM commerce.shipments r JOIN commerce.shipment_lines v ON v.shipment_id = r.id
                      WHERE r.status <> 'cancelled' GROUP BY 1, 2) a
               ON a.replaces = s.id AND a.order_line_id = u.order_line_id
           GROUP BY 1) p ON p.order_id = o.id
WHERE o.fulfillment_status <> CASE
          WHEN w.shipped = 0 THEN 'unfulfilled'
          WHEN w.shipped < w.wanted THEN 'partial'
          WHEN coalesce(p.back, 0) + w.returned >= w.wanted THEN 'returned'
          WHEN coalesce(p.delivered, 0) >= w.wanted THEN 'delivered'
          ELSE 'fulfilled' END
   OR (o.fulfillment_status = 'delivered' AND o.status <> 'delivered')
   OR (o.fulfillment_status IN ('fulfilled', 'returned') AND o.status NOT IN ('shipped', 'delivered'))
   OR (o.fulfillment_status = 'partial' AND o.status <> 'processing')
UNION ALL
-- I8: a line counts as returned what came with its returns, and no more than has arrived and was not taken back with a
-- refund. No more is on its way back than was sent.
SELECT 'I8', 'order_lines ' || l.id, 'returned ' || l.returned_quantity || ', with returns ' || coalesce(b.received, 0)
       || ', expected back ' || coalesce(b.awaited, 0) || ', with refunds ' || coalesce(f.restocked, 0) || ', delivered '
       || coalesce(p.delivered, 0) || ' of ' || l.shipped_quantity
FROM commerce.order_lines l
LEFT JOIN (SELECT u.order_line_id, sum(u.received_quantity) AS received,
                  sum(u.quantity) FILTER (WHERE r.status IN ('requested', 'approved')) AS awaited
           FROM commerce.return_lines u JOIN commerce.returns r ON r.id = u.return_id GROUP BY 1) b ON b.order_line_id = l.id
LEFT JOIN (SELECT order_line_id, sum(quantity) AS restocked FROM commerce.refund_lines
           WHERE restocked GROUP BY 1) f ON f.order_line_id = l.id
LEFT JOIN (SELECT u.order_line_id, sum(u.quantity) AS delivered
           FROM commerce.shipment_lines u JOIN commerce.shipments s ON s.id = u.shipment_id
           WHERE s.status = 'delivered' GROUP BY 1) p ON p.order_line_id = l.id
WHERE l.returned_quantity <> coalesce(b.received, 0)
   OR l.returned_quantity > coalesce(p.delivered, 0)
   OR l.returned_quantity + coalesce(f.restocked, 0) > l.shipped_quantity
   OR l.returned_quantity + coalesce(b.awaited, 0) > l.shipped_quantity
UNION ALL
-- I8: a return has lines of its own order, which say what came once it is received.
SELECT 'I8', 'returns ' || r.id, 'is ' || r.status || ', line ' || coalesce(u.order_line_id::text, 'none') || ' received '
       || coalesce(u.received_quantity::text, 'unset')
FROM commerce.returns r
LEFT JOIN commerce.return_lines u ON u.return_id = r.id
LEFT JOIN commerce.order_lines l ON l.id = u.order_line_id
WHERE l.order_id IS DISTINCT FROM r.order_id OR (r.received_at IS NULL) <> (u.received_quantity IS NULL)
UNION ALL
-- I8: a declaration that opened a return is about its order.
SELECT 'I8', 'withdrawals ' || w.id, 'is about order ' || coalesce(w.order_id::text, 'none') || ', its return about ' || r.order_id
FROM commerce.returns r JOIN commerce.withdrawals w ON w.id = r.withdrawal_id
WHERE w.order_id IS DISTINCT FROM r.order_id
UNION ALL
-- I5: a declaration that is confirmed was looked at, or has a job.
SELECT 'I5', 'withdrawals ' || w.id, 'is confirmed, and no job sees to it'
FROM commerce.withdrawals w
WHERE w.confirmed_at IS NOT NULL AND w.processed_at IS NULL
  AND NOT EXISTS (SELECT FROM commerce.jobs j
                  WHERE j.kind = 'process_withdrawal' AND j.state <> 'dead' AND j.payload ->> 'withdrawal_id' = w.id::text)
UNION ALL
-- I2: a refunded return has its refunds, of the units that came.
SELECT 'I2', 'returns ' || r.id, 'is ' || r.status || ' with ' || r.refund_minor || ', refunds ' || coalesce(f.amount, 0)
       || ' for ' || coalesce(u.units, 0) || ' of ' || coalesce(b.received, 0) || ' units'
FROM commerce.returns r
LEFT JOIN (SELECT coalesce(part_of, id) AS id, min(order_id::text) AS order_id, sum(amount_minor) AS amount
           FROM commerce.refunds WHERE reason = 'goods_returned' GROUP BY 1) f ON f.id = r.refund_id
LEFT JOIN (SELECT refund_id, sum(quantity) AS units FROM commerce.refund_lines GROUP BY 1) u ON u.refund_id = r.refund_id
LEFT JOIN (SELECT return_id, sum(received_quantity) AS received FROM commerce.return_lines GROUP BY 1) b ON b.return_id = r.id
WHERE r.refund_minor <> coalesce(f.amount, 0)
   OR (f.id IS NOT NULL AND (f.order_id <> r.order_id::text OR coalesce(u.units, 0) NOT BETWEEN 1 AND coalesce(b.received, 0)))
UNION ALL
SELECT 'I2', 'refunds ' || f.id, 'is for returned goods, and no return has it'
FROM commerce.refunds f
WHERE f.reason = 'goods_returned'
  AND NOT EXISTS (SELECT FROM commerce.returns r WHERE r.refund_id = coalesce(f.part_of, f.id))
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
       || ', cancelled ' || cancelled_minor
FROM commerce.orders
WHERE (paid_at IS NULL AND paid_minor >= total_minor - cancelled_minor)
   OR (paid_at IS NOT NULL AND paid_minor = 0 AND total_minor > cancelled_minor)
UNION ALL
SELECT 'I2', 'orders ' || id, 'is ' || status || ' but not paid'
FROM commerce.orders WHERE status IN ('paid', 'processing', 'shipped', 'delivered') AND paid_at IS NULL
UNION ALL
-- I2: a cancelled order keeps no money once its refunds are done, except what staff decided to keep.
SELECT 'I2', 'orders ' || o.id, 'is cancelled and keeps ' || (o.paid_minor - o.refunded_minor) || ' instead of '
       || o.kept_minor || ' with no refund under way'
FROM commerce.orders o
WHERE o.status = 'cancelled' AND o.paid_minor > o.refunded_minor
  AND o.paid_minor - o.refunded_minor - o.kept_minor > (SELECT coalesce(sum(amount_minor), 0) FROM commerce.refunds r
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
-- I6: what is cancelled of an order is what is cancelled of its lines, and not the shipping.
SELECT 'I6', 'orders ' || o.id, 'cancelled ' || o.cancelled_minor || ', lines ' || l.cancelled
FROM commerce.orders o
JOIN (SELECT order_id, sum(cancelled_minor) AS cancelled FROM commerce.order_lines GROUP BY 1) l ON l.order_id = o.id
WHERE o.cancelled_minor <> l.cancelled OR o.cancelled_minor > o.total_minor - o.shipping_minor
UNION ALL
-- I7: every file that an image shows is on the list of files as that image's, so that nobody deletes it.
SELECT 'I7', 'product_images ' || i.id, 'shows the file ' || f.key || ', which is not its own'
FROM commerce.product_images i
CROSS JOIN LATERAL (SELECT i.storage_key AS key UNION ALL SELECT v ->> 'key' FROM jsonb_array_elements(i.variants) v) f
LEFT JOIN commerce.media_files m ON m.key = f.key AND m.image_id = i.id
WHERE i.storage_key IS NOT NULL AND m.key IS NULL
