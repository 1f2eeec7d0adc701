//! Brings the e-mail addresses of accounts to the form in which they are compared. Older versions stored them
//! as they were typed.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel::sql_types::Bool;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use crate::db::clock;
use crate::email_address::EmailAddress;
use crate::ids::UserId;
use crate::schema::users;

/// The result of [`normalise_addresses`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NormalisedAddresses {
    /// How many addresses were changed.
    pub changed: usize,
    /// Accounts that were left as they are, each with the account that has its address in the normal form.
    /// Their owner cannot log in to the first one, so a person must decide.
    pub doubles: Vec<(UserId, UserId)>,
}

/// Brings the addresses of accounts to the form in which they are compared, so that every spelling logs in.
/// Call it after [`migrate`](crate::db::migrate). It is safe to call it again.
///
/// Accounts are never merged: two accounts of one mailbox stay as they are. Each change locks one account and
/// commits by itself, unless the caller has a transaction open. Verified and older accounts come first.
pub async fn normalise_addresses(conn: &mut AsyncPgConnection) -> QueryResult<NormalisedAddresses> {
    let may_differ = sql::<Bool>("email ~ '[^ -~]' OR email LIKE '%xn--%'");
    let stored: Vec<(UserId, String)> = users::table
        .filter(users::deleted_at.is_null())
        .filter(may_differ)
        .order((users::email_verified_at.is_null(), users::created_at, users::id))
        .select((users::id, users::email))
        .load(conn)
        .await?;
    let mut result = NormalisedAddresses::default();
    for (id, former) in stored {
        let Ok(email) = EmailAddress::of_account(&former) else { continue };
        if email.as_str() == former {
            continue;
        }
        match set_address(conn, id, &former, &email).await {
            Ok(changed) => result.changed += changed,
            Err(QueryError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
                let of_other = users::table.filter(users::email.eq(email.as_str())).select(users::id);
                let other: Option<UserId> = of_other.first(conn).await.optional()?;
                result.doubles.extend(other.map(|other| (id, other)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(result)
}

async fn set_address(
    conn: &mut AsyncPgConnection,
    id: UserId,
    former: &str,
    email: &EmailAddress,
) -> QueryResult<usize> {
    conn.transaction(async |conn| {
        diesel::update(users::table.find(id).filter(users::email.eq(former)))
            .set((
                users::email.eq(email.as_str()),
                users::updated_at.eq(clock()),
                users::version.eq(users::version + 1),
            ))
            .execute(conn)
            .await
    })
    .await
}

#[cfg(test)]
mod tests {
    use diesel_async::SimpleAsyncConnection as _;

    use super::*;
    use crate::accounts::find_credentials;
    use crate::testing::TestDatabase;

    #[tokio::test]
    async fn accounts_of_older_versions_are_found_and_never_merged() {
        let database = TestDatabase::new().await;
        let mut conn = database.conn().await;
        let id = |n: u8| UserId(uuid::Uuid::from_u128(n.into()));
        for (n, email, verified) in [
            (1, "ada@xn--bcher-kva.example", true),
            (2, "bob@ｂücher.example", true),
            (3, "ju\u{308}rgen@example.com", true),
            // Three accounts of one mailbox. The verified one gets the address.
            (4, "eve@xn--bcher-kva.example", false),
            (5, "eve@ｂücher.example", true),
            (6, "eve@bu\u{308}cher.example", true),
            (7, "ordinary@example.com", true),
            (8, "ordinary@bücher.example", true),
        ] {
            let verified = if verified { "commerce.clock()" } else { "NULL" };
            let insert = format!(
                "INSERT INTO commerce.users (id, email, email_verified_at, password_hash, display_name, created_at)
                 VALUES ('{}', '{email}', {verified}, 'x', 'A', timestamptz '2026-01-01' + interval '{n} days')",
                id(n)
            );
            conn.batch_execute(&insert).await.unwrap();
        }
        let normalised = normalise_addresses(&mut conn).await.unwrap();
        let doubles = vec![(id(6), id(5)), (id(4), id(5))];
        assert_eq!(normalised, NormalisedAddresses { changed: 4, doubles });
        for typed in [
            "ada@bücher.example",
            "ADA@xn--bcher-kva.example",
            "Bob@BÜCHER.example",
            "Ju\u{308}rgen@example.com",
        ] {
            let typed = EmailAddress::of_account(typed).unwrap();
            let found = find_credentials(&mut conn, &typed).await.unwrap();
            assert!(format!("{found:?}").contains("id"), "{typed} {found:?}");
        }
        let again = normalise_addresses(&mut conn).await.unwrap();
        assert_eq!((again.changed, again.doubles), (0, normalised.doubles));
        drop(conn);
        database.finish().await;
    }
}
