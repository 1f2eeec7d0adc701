//! Withdrawals from contracts, and links to orders: declared and asked for by anybody, and matched by jobs.

use std::sync::Arc;
use std::time::Duration;

use commerce_core::accounts::SecretKey;
use commerce_core::flows::{
    ConfirmWithdrawalError, CreateShipment, DeclareWithdrawalError, LookUpOrder, ProcessWithdrawal,
    confirm_withdrawal, declare_withdrawal, look_up_order, run_lookup, run_withdrawal,
};
use commerce_core::ids::{OrderId, OrderLineId, WithdrawalId};
use commerce_core::jobs::{self, Job};
use commerce_core::notifications::Template;
use commerce_core::orders::{Access, derive_order_token, find_accessible};
use commerce_core::page::Limit;
use commerce_core::returns::{
    CONFIRM_WITHIN, NamedUnits, NewWithdrawal, ReturnFilter, ReturnReason, ReturnStatus, WithdrawalFilter,
    list_returns, list_withdrawals, prune_withdrawals, return_lines,
};
use commerce_core::schema::{emails, order_links};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, email};
use diesel::prelude::*;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use futures_util::future::join_all;

use crate::parcels::{create, paid_order, parcel};
use crate::payments::{order, timeline};

pub fn declaration(order_number: &str) -> NewWithdrawal {
    NewWithdrawal {
        name: " Ada  Lovelace".to_owned(),
        email: email("ada@example.com"),
        order_number: order_number.to_owned(),
        lines: None,
        text: None,
    }
}

pub async fn declared(db: &TestDatabase, wish: NewWithdrawal) -> WithdrawalId {
    declare_withdrawal(&mut *db.conn().await, wish).await.unwrap()
}

/// Does the jobs of this kind, each by itself, as a worker does.
async fn claimed<J: Job>(db: &TestDatabase) -> Vec<(J, jobs::Lease)> {
    let lease = Duration::from_secs(60);
    let claimed = jobs::claim(&mut *db.conn().await, "test", &[J::KIND], 100, lease).await.unwrap();
    claimed.iter().map(|job| (serde_json::from_value(job.payload.clone()).unwrap(), job.lease())).collect()
}

pub async fn process_all(db: &TestDatabase, shop: &ShopSettings) -> usize {
    let jobs = claimed::<ProcessWithdrawal>(db).await;
    for (job, lease) in &jobs {
        run_withdrawal(db.pool(), shop, job.withdrawal_id, *lease).await.unwrap();
    }
    jobs.len()
}

async fn mails(db: &TestDatabase, template: Template) -> i64 {
    let of_kind = emails::table.filter(emails::template.eq(template));
    of_kind.count().get_result(&mut db.conn().await).await.unwrap()
}

/// A paid order of three cups, of which two are on their way. Its id and number, and its line.
async fn part_sent(db: &TestDatabase) -> (OrderId, String, OrderLineId) {
    let cup = db.variant(500, 10).await;
    let (id, lines) = paid_order(db, &[(cup, 3)]).await;
    create(db, CreateShipment { shipped: true, ..parcel(id, &[(&lines[0], 2)]) }).await.unwrap();
    (id, order(db, id).await.number.to_string(), lines[0].id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declaration_counts_once_it_is_confirmed_and_opens_one_return() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings { alert_email: Some(email("shop@example.com")), ..ShopSettings::default() };
    let (id, number, line) = part_sent(&db).await;
    let withdrawal = declared(&db, declaration(&format!("#{number}"))).await;
    assert_eq!((process_all(&db, &shop).await, mails(&db, Template::WithdrawalReceived).await), (0, 0));
    // However often and however many at once confirm it, it is confirmed once.
    let confirmed =
        join_all((0..5).map(async |_| confirm_withdrawal(&mut *db.conn().await, withdrawal, None).await))
            .await;
    let times: Vec<_> =
        confirmed.iter().map(|answer| answer.as_ref().unwrap().confirmed_at.unwrap()).collect();
    assert!(times.iter().all(|time| *time == times[0]), "{times:?}");
    assert_eq!(mails(&db, Template::WithdrawalReceived).await, 1);
    assert_eq!(process_all(&db, &shop).await, 1);

    let mut conn = db.conn().await;
    let opened =
        list_returns(&mut conn, &ReturnFilter::default(), Limit::default(), None).await.unwrap().data;
    assert_eq!(opened.len(), 1);
    assert_eq!(
        (opened[0].order_id, opened[0].status, opened[0].withdrawal_id),
        (id, ReturnStatus::Requested, Some(withdrawal))
    );
    // The third cup was not sent: staff cancel it.
    let back = return_lines(&mut conn, &[opened[0].id]).await.unwrap();
    assert_eq!(
        (back[0].order_line_id, back[0].quantity, back[0].reason),
        (line, 2, ReturnReason::Withdrawal)
    );
    assert_eq!(mails(&db, Template::WithdrawalAlert).await, 1);
    let told = timeline(&db, id).await;
    assert!(told.ends_with(&["withdrawal_declared", "return_requested"]), "{told:?}");

    // Another declaration finds nothing that is left to come back.
    let again = declared(&db, declaration(&number)).await;
    confirm_withdrawal(&mut conn, again, None).await.unwrap();
    process_all(&db, &shop).await;
    let filter = WithdrawalFilter { matched: Some(true), order_id: Some(id), ..Default::default() };
    let listed = list_withdrawals(&mut conn, &filter, Limit::new(1).unwrap(), None).await.unwrap();
    assert_eq!((listed.data[0].id, listed.data[0].name.as_str()), (again, "Ada Lovelace"));
    let next =
        list_withdrawals(&mut conn, &filter, Limit::new(1).unwrap(), listed.next_cursor.as_deref()).await;
    assert_eq!(next.unwrap().data[0].id, withdrawal);
    let opened =
        list_returns(&mut conn, &ReturnFilter::default(), Limit::default(), None).await.unwrap().data;
    assert_eq!(opened.len(), 1);
    drop(conn);
    db.finish().await;
}

#[tokio::test]
async fn a_declaration_about_no_order_is_kept_and_acknowledged_alike() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let (_, number, line) = part_sent(&db).await;
    let strangers = NewWithdrawal { email: email("eve@example.com"), ..declaration(&number) };
    let unit = NamedUnits { order_line_id: line, quantity: i64::MAX };
    let nobodys = NewWithdrawal { lines: Some(vec![unit, unit]), ..declaration("no number") };
    for wish in [strangers, nobodys, declaration("99999999999999999999")] {
        let id = declared(&db, wish).await;
        confirm_withdrawal(&mut *db.conn().await, id, None).await.unwrap();
    }
    assert_eq!((process_all(&db, &shop).await, mails(&db, Template::WithdrawalReceived).await), (3, 3));
    let mut conn = db.conn().await;
    let filter = WithdrawalFilter { matched: Some(false), confirmed: Some(true), ..Default::default() };
    let kept = list_withdrawals(&mut conn, &filter, Limit::default(), None).await.unwrap().data;
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|kept| kept.processed_at.is_some() && kept.order_id.is_none()));
    assert_eq!(kept[1].lines(), Some(vec![unit, unit]));
    let opened =
        list_returns(&mut conn, &ReturnFilter::default(), Limit::default(), None).await.unwrap().data;
    assert!(opened.is_empty(), "{opened:?}");
    // Named units of the order are returned, as far as the shopper has them.
    let of_order = NewWithdrawal { lines: Some(vec![unit, unit]), ..declaration(&number) };
    let id = declared(&db, of_order).await;
    confirm_withdrawal(&mut conn, id, None).await.unwrap();
    process_all(&db, &shop).await;
    let opened =
        list_returns(&mut conn, &ReturnFilter::default(), Limit::default(), None).await.unwrap().data;
    assert_eq!(return_lines(&mut conn, &[opened[0].id]).await.unwrap()[0].quantity, 2);
    drop(conn);
    db.finish().await;
}

#[tokio::test]
async fn a_declaration_that_is_not_confirmed_ends_after_a_day() {
    let db = TestDatabase::new().await;
    let nameless = NewWithdrawal { name: " \n".to_owned(), ..declaration("1") };
    // In its normal form this letter has two characters.
    let long = |chars| Some("\u{958}".repeat(chars));
    let wordy = NewWithdrawal { text: long(1001), ..declaration("1") };
    for (wish, field) in [(nameless, "/name"), (wordy, "/text")] {
        let refused = declare_withdrawal(&mut *db.conn().await, wish).await;
        let Err(DeclareWithdrawalError::Invalid(faults)) = refused else { panic!("{refused:?}") };
        assert_eq!(faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), [field]);
    }
    declared(&db, NewWithdrawal { text: long(1000), ..declaration("1") }).await;
    let kept = declared(&db, declaration("1")).await;
    confirm_withdrawal(&mut *db.conn().await, kept, None).await.unwrap();
    for _ in 0..5 {
        declared(&db, declaration("1")).await;
    }
    let late = declared(&db, declaration("1")).await;
    let mut conn = db.conn().await;
    let ago = format!(
        "UPDATE commerce.withdrawals SET created_at = created_at - interval '{} seconds'",
        CONFIRM_WITHIN.as_secs() + 1
    );
    conn.batch_execute(&ago).await.unwrap();
    let fresh = declared(&db, declaration("1")).await;
    assert!(matches!(confirm_withdrawal(&mut conn, late, None).await, Err(ConfirmWithdrawalError::NotFound)));
    assert_eq!(prune_withdrawals(&mut conn, 2).await.unwrap(), 7);
    let left =
        list_withdrawals(&mut conn, &WithdrawalFilter::default(), Limit::default(), None).await.unwrap();
    let left: Vec<_> = left.data.iter().map(|left| left.id).collect();
    assert_eq!(left, [fresh, kept]);
    process_all(&db, &ShopSettings::default()).await;
    drop(conn);
    db.finish().await;
}

#[tokio::test]
async fn a_link_is_mailed_to_the_address_of_the_order_and_leads_to_it_alone() {
    let db = TestDatabase::new().await;
    let key = Arc::new(SecretKey::parse("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap());
    let (id, number, _) = part_sent(&db).await;
    let (other, _) = paid_order(&db, &[(db.variant(100, 1).await, 1)]).await;
    let asked = async |number: &str, to: &str| {
        look_up_order(&mut *db.conn().await, number, &email(to)).await.unwrap();
        let jobs = claimed::<LookUpOrder>(&db).await;
        assert_eq!(jobs.len(), 1, "the same is written for every number and address");
        for (job, lease) in jobs {
            run_lookup(db.pool(), &key, &job, lease).await.unwrap();
        }
        mails(&db, Template::OrderLink).await
    };
    for (number, to) in
        [(number.as_str(), "eve@example.com"), ("1", "ada@example.com"), ("x", "ada@example.com")]
    {
        assert_eq!(asked(number, to).await, 0, "{number}, {to}");
    }
    assert_eq!(asked(&format!(" #{number} "), "ADA@example.com").await, 1);
    let mut conn = db.conn().await;
    let link: commerce_core::ids::OrderLinkId =
        order_links::table.select(order_links::id).first(&mut conn).await.unwrap();
    let token = derive_order_token(&key, link);
    let access = Access::Link(commerce_core::cart::TokenHash::of(&token));
    assert_eq!(find_accessible(&mut conn, id, access).await.unwrap().map(|order| order.id), Some(id));
    assert!(find_accessible(&mut conn, other, access).await.unwrap().is_none());
    // Nothing that is stored gives access.
    let stored: Vec<u8> = order_links::table.select(order_links::token_hash).first(&mut conn).await.unwrap();
    for guess in [link.to_string(), String::from_utf8_lossy(&stored).into_owned(), String::new()] {
        let guess = Access::Link(commerce_core::cart::TokenHash::of(&guess));
        assert!(find_accessible(&mut conn, id, guess).await.unwrap().is_none());
    }
    // Five mails an hour go to one address.
    for sent in [2, 3, 4, 5, 5, 5] {
        assert_eq!(asked(&number, "ada@example.com").await, sent);
    }
    let later = "UPDATE commerce.order_links SET created_at = created_at - interval '30 days'";
    conn.batch_execute(later).await.unwrap();
    assert!(find_accessible(&mut conn, id, access).await.unwrap().is_none());
    assert_eq!(commerce_core::orders::prune_links(&mut conn, 2).await.unwrap(), 5);
    drop(conn);
    db.finish().await;
}
