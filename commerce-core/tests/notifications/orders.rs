//! Mails about orders that are paid in vain, or cancelled in part.

use commerce_core::money::{Currency, Money};

use super::*;

const LINE: &str = "00000000-0000-7000-8000-0000000000e2";

fn part_cancelled(version: i32, by_customer: bool) -> NewEmail {
    let refund = Some(Money::new(600, Currency::JPY));
    NewEmail::about_cancelled_units(id(ORDER), version, &[(id(LINE), 1)], refund, by_customer, &anna())
}

#[tokio::test]
async fn a_customer_is_told_what_is_cancelled_and_what_goes_back() {
    let paid = "UPDATE commerce.orders SET status = 'paid', paid_minor = 12845, paid_at = commerce.clock(), cancelled_minor = 600;
         UPDATE commerce.order_lines SET cancelled_quantity = 1, cancelled_minor = 600 WHERE position = 0";
    let database = database_with(&[ACCOUNT_AND_ORDER, paid]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    for (version, by_customer, says) in [
        (2, true, "As you asked, this part of your order has been cancelled:"),
        (3, false, "We had to cancel this part of your order. We are sorry for that."),
    ] {
        enqueue(&database, part_cancelled(version, by_customer)).await;
        // Told once.
        enqueue(&database, part_cancelled(version, by_customer)).await;
        assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
        assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::AlreadySent);
        let sent = peer.mails().pop().unwrap();
        assert_eq!(sent.subject(), "A part of your order 1001 was cancelled");
        let what = format!("{says}\n\n  1 x Green tea <script> &\n\nWe refund 600 JPY to your");
        assert!(sent.text.contains(&what), "{}", sent.text);
        assert!(sent.text.contains("Cancelled: -600 JPY\n  Total: 12,245 JPY"), "{}", sent.text);
    }
    assert_eq!(peer.mails().len(), 2);
    database.discard().await;
}

/// Anybody can order in the name of any address, and cancel unit by unit.
#[tokio::test]
async fn nobody_is_written_to_about_a_part_of_an_unpaid_order_that_they_do_not_know_of() {
    let database = database_with(&[ACCOUNT_AND_ORDER]).await;
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    enqueue(&database, part_cancelled(2, true)).await;
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Pointless);
    enqueue(&database, NewEmail::about_order(Template::OrderReceived, id(ORDER), &anna())).await;
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
    let unproven = Recipient::Unproven { networks: Vec::new() };
    for version in 3..=7 {
        enqueue(&database, part_cancelled(version, true).limited_for(&unproven)).await;
        assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
    }
    enqueue(&database, part_cancelled(8, true).limited_for(&unproven)).await;
    assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Pointless);
    assert_eq!(peer.mails().len(), 6);
    database.discard().await;
}

#[tokio::test]
async fn a_failed_payment_is_told_of_while_the_order_waits_for_another() {
    for (change, expected) in [
        ("", SentEmail::Sent),
        ("UPDATE commerce.orders SET status = 'paid', paid_minor = 12845, paid_at = commerce.clock()", SentEmail::Pointless),
        (
            "INSERT INTO commerce.payments (id, order_id, provider, amount_minor, currency, status)
             VALUES (gen_random_uuid(), '00000000-0000-7000-8000-0000000000e1', 'mock', 12845, 'JPY', 'pending')",
            SentEmail::Pointless,
        ),
    ] {
        let database = database_with(&[ACCOUNT_AND_ORDER, change]).await;
        let peer = SmtpPeer::start().await.unwrap();
        let mailer = SmtpMailer::new(&peer.url()).unwrap();
        enqueue(&database, NewEmail::about_order(Template::PaymentFailed, id(ORDER), &anna())).await;
        assert_eq!(send_next(&database, &mailer).await.unwrap(), expected, "{change}");
        if let Some(sent) = peer.mails().pop() {
            assert_eq!(sent.subject(), "The payment for your order 1001 did not go through");
            assert!(sent.text.contains("until 21 November 2026, 14:05 UTC"), "{}", sent.text);
        }
        database.discard().await;
    }
}

/// Money that is only held counts as told of, and an order that costs nothing too.
#[tokio::test]
async fn whoever_was_told_that_the_order_is_confirmed_is_told_of_its_end() {
    for template in [Template::OrderAuthorized, Template::OrderConfirmed] {
        let database = database_with(&[ACCOUNT_AND_ORDER]).await;
        let peer = SmtpPeer::start().await.unwrap();
        let mailer = SmtpMailer::new(&peer.url()).unwrap();
        enqueue(&database, NewEmail::about_order(template, id(ORDER), &anna())).await;
        assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent);
        let cancel = "UPDATE commerce.orders SET status = 'cancelled', cancel_reason = 'admin', cancelled_at = commerce.clock()";
        database.conn().await.batch_execute(cancel).await.unwrap();
        enqueue(&database, NewEmail::about_order(Template::OrderCancelled, id(ORDER), &anna())).await;
        assert_eq!(send_next(&database, &mailer).await.unwrap(), SentEmail::Sent, "{template}");
        database.discard().await;
    }
}
