//! Messages of visitors: stored, mailed to the shop alone, and found again.

use std::time::Duration;

use commerce_core::contact::{
    self, ContactError, ContactFilter, ContactPatch, ContactSort, NewContactMessage, explain_messages,
    list_messages,
};
use commerce_core::flows::{ReceiveContactError, receive_contact};
use commerce_core::ids::UserId;
use commerce_core::page::Limit;
use commerce_core::request::{Actor, Origin};
use commerce_core::schema::{contact_messages, emails};
use commerce_core::testing::{TestDatabase, email};
use diesel::prelude::*;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use crate::low_stock::{run_jobs, services};

fn message(name: &str, text: &str) -> NewContactMessage {
    NewContactMessage {
        name: name.to_owned(),
        email: "ada@example.com".to_owned(),
        phone: Some("+44 (20) 7946-0018".to_owned()),
        message: text.to_owned(),
    }
}

async fn found(db: &TestDatabase, text: &str) -> Vec<String> {
    let filter = ContactFilter { text: Some(text.to_owned()), ..Default::default() };
    let conn = &mut db.conn().await;
    let page = list_messages(conn, &filter, ContactSort::OldestFirst, Limit::default(), None).await.unwrap();
    page.data.into_iter().map(|message| message.name).collect()
}

#[tokio::test]
async fn a_message_is_mailed_to_the_shop_and_to_nobody_else() {
    let db = TestDatabase::new().await;
    let shop = email("shop@example.com");
    let conn = &mut db.conn().await;
    receive_contact(conn, &message("Ada\r\nBcc: x@evil.example", "Hello"), Some(&shop)).await.unwrap();
    receive_contact(conn, &message("Bob", "Nobody is told"), None).await.unwrap();
    let mails: Vec<(String, String)> =
        emails::table.select((emails::template, emails::recipient)).load(conn).await.unwrap();
    assert_eq!(mails, [("contact_message".to_owned(), "shop@example.com".to_owned())]);
    let names: Vec<String> = contact_messages::table
        .order(contact_messages::id)
        .select(contact_messages::name)
        .load(conn)
        .await
        .unwrap();
    assert_eq!(names, ["Ada Bcc: x@evil.example", "Bob"]);
    run_jobs(&db, &services(&db, None)).await;
    db.finish().await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_named() {
    let db = TestDatabase::new().await;
    let wrong = NewContactMessage {
        name: " \u{202e} ".to_owned(),
        email: "a@b.example\r\nBcc: x@evil.example".to_owned(),
        phone: Some("call me".to_owned()),
        message: "\r\n".to_owned(),
    };
    let refused = receive_contact(&mut *db.conn().await, &wrong, None).await.unwrap_err();
    let ReceiveContactError::Contact(ContactError::Invalid(errors)) = refused else { panic!("{refused}") };
    let mut pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/email", "/message", "/name", "/phone"]);
    db.finish().await;
}

/// Whatever many networks send together: the mailbox gets an hour's share, and the table a day's.
#[tokio::test]
async fn the_mailbox_and_the_table_have_bounds() {
    let db = TestDatabase::new().await;
    let shop = email("shop@example.com");
    let conn = &mut db.conn().await;
    conn.batch_execute("BEGIN").await.unwrap();
    for number in 0..1000 {
        let shop = (number < 70).then_some(&shop);
        receive_contact(conn, &message("Ada", "Hello"), shop).await.unwrap();
    }
    let refused = receive_contact(conn, &message("Ada", "Hello"), None).await;
    assert!(
        matches!(refused, Err(ReceiveContactError::TooMany { retry_after }) if retry_after > Duration::ZERO)
    );
    let mails: i64 = emails::table.count().get_result(conn).await.unwrap();
    let stored: i64 = contact_messages::table.count().get_result(conn).await.unwrap();
    assert_eq!((mails, stored), (60, 1000));
    conn.batch_execute("ROLLBACK").await.unwrap();
    db.finish().await;
}

#[tokio::test]
async fn a_search_looks_at_name_address_phone_and_message() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    conn.batch_execute(
        "INSERT INTO commerce.contact_messages (id, name, email, phone, message)
         SELECT gen_random_uuid(), 'Visitor ' || n, 'v' || n || '@example.org', '+49' || (1000000 + n),
                'Where is my parcel ' || md5(n::text) || '?'
         FROM generate_series(1, 5000) AS n;
         ANALYZE commerce.contact_messages",
    )
    .await
    .unwrap();
    for new in [message("Zoë Quine", "Is wool 100% pure?"), message("Al Khwarizmi", "Two\nlines of numbers")]
    {
        receive_contact(conn, &new, None).await.unwrap();
    }
    assert_eq!(found(&db, "zoë q").await, ["Zoë Quine"]);
    assert_eq!(found(&db, "100% PURE").await, ["Zoë Quine"]);
    assert_eq!(found(&db, "7946 0018").await, ["Zoë Quine", "Al Khwarizmi"]);
    assert_eq!(found(&db, "ada@").await, ["Zoë Quine", "Al Khwarizmi"]);
    assert_eq!(found(&db, "Qu").await, ["Zoë Quine"]);
    assert_eq!(found(&db, "v4777@").await, ["Visitor 4777"]);
    assert_eq!(found(&db, "1004777").await, ["Visitor 4777"]);
    assert_eq!(found(&db, "no such text").await, [""; 0]);
    db.finish().await;
}

#[tokio::test]
async fn staff_mark_note_and_delete() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let new = receive_contact(conn, &message("Ada", "Hello"), None).await.unwrap();
    let (first, second) = (UserId::new(), UserId::new());
    let by = |user| Origin { actor: Actor::User(user), request_id: None };
    let handled = ContactPatch { handled: Some(true), note: Some(Some(" by phone ".to_owned())) };
    let changed = contact::update_message(conn, new.id, Some(1), &handled, &by(first)).await.unwrap();
    assert_eq!((changed.note.as_deref(), changed.version), (Some("by phone"), 2));
    assert_eq!(changed.handled_by, Some(format!("user:{first}")));
    // Who handled it first stays.
    let again = contact::update_message(conn, new.id, None, &handled, &by(second)).await.unwrap();
    assert_eq!((again.handled_by, again.handled_at), (changed.handled_by, changed.handled_at));
    let stale = contact::update_message(conn, new.id, Some(1), &handled, &by(first)).await;
    assert!(matches!(stale, Err(ContactError::VersionMismatch { current: 3 })));
    let open = ContactPatch { handled: Some(false), note: Some(None) };
    let open = contact::update_message(conn, new.id, None, &open, &by(first)).await.unwrap();
    assert_eq!((open.handled_at, open.handled_by, open.note), (None, None, None));
    let filter = ContactFilter { handled: Some(true), ..Default::default() };
    let page = list_messages(conn, &filter, ContactSort::NewestFirst, Limit::default(), None).await.unwrap();
    assert!(page.data.is_empty());
    contact::delete_message(conn, new.id, None).await.unwrap();
    assert!(matches!(contact::delete_message(conn, new.id, None).await, Err(ContactError::Unknown)));
    db.finish().await;
}

/// A search among fifty thousand messages reads an index and never the table, however rare the text is.
#[tokio::test]
async fn no_search_reads_fifty_thousand_messages_from_end_to_end() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    // The index is made anew behind the rows, which is faster.
    conn.batch_execute(
        "SET statement_timeout = 0;
         CREATE TEMP TABLE made AS SELECT pg_get_indexdef('commerce.contact_messages_search_idx'::regclass) AS by;
         DROP INDEX commerce.contact_messages_search_idx;
         INSERT INTO commerce.contact_messages (id, name, email, phone, message, created_at, handled_at, handled_by)
         SELECT gen_random_uuid(), 'Visitor ' || n, 'v' || n || '@example.org',
                '+49' || (1000000 + n), 'Where is my parcel ' || md5(n::text) || '?',
                commerce.clock() - n * interval '1 minute',
                CASE WHEN n > 300 THEN commerce.clock() END, CASE WHEN n > 300 THEN 'system' END
         FROM generate_series(1, 50000) AS n;
         DO $$ BEGIN EXECUTE (SELECT by FROM made); END $$;
         ANALYZE commerce.contact_messages",
    )
    .await
    .unwrap();
    let filter = |text: &str, handled| ContactFilter {
        text: (!text.is_empty()).then(|| text.to_owned()),
        handled,
        ..Default::default()
    };
    let texts = ["", "v47770@", "Visitor 123", "parcel", "1047770", "zoë", "Vi", "qq", "no such text"];
    for text in texts {
        for handled in [None, Some(true), Some(false)] {
            for sort in ContactSort::ALL {
                let filter = filter(text, handled);
                let first = list_messages(conn, &filter, *sort, Limit::default(), None).await.unwrap();
                for cursor in [None, first.next_cursor.as_deref()] {
                    let plan = explain_messages(conn, &filter, *sort, Limit::default(), cursor).await;
                    let plan = plan.unwrap().join("\n");
                    assert!(!plan.contains("Seq Scan"), "{text:?}, {handled:?}, {sort}, {cursor:?}: {plan}");
                }
            }
        }
    }
    let rare = filter("v47770@", None);
    let found = list_messages(conn, &rare, ContactSort::NewestFirst, Limit::default(), None).await.unwrap();
    assert_eq!(found.data.len(), 1);
    db.discard().await;
}

/// The mail of a message that was deleted meanwhile is not sent.
#[tokio::test]
async fn a_deleted_message_is_not_mailed() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let new =
        receive_contact(conn, &message("Ada", "Hello"), Some(&email("shop@example.com"))).await.unwrap();
    contact::delete_message(conn, new.id, None).await.unwrap();
    run_jobs(&db, &services(&db, None)).await;
    let left: i64 = emails::table.count().get_result(conn).await.unwrap();
    assert_eq!(left, 0);
    db.finish().await;
}
