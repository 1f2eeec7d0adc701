//! The first admin, created by `commerce-api create-admin` or from the settings when the server starts.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use commerce_core::accounts::{self, CreatedAccount, NewPassword, NewUser, PasswordHasher, Role};
use commerce_core::db::{Pool, in_transaction};
use commerce_core::email_address::EmailAddress;
use diesel_async::AsyncPgConnection;

use crate::http::problem::OnlyDatabase;
use crate::program::config::ConnectionSettings;

/// Who becomes an admin.
#[derive(Debug, Args)]
pub struct CreateAdminArguments {
    #[command(flatten)]
    database: ConnectionSettings,

    /// E-mail address to log in with
    #[arg(long, env = "COMMERCE_ADMIN_EMAIL")]
    email: String,

    /// Password, at least 8 characters
    #[arg(long, env = "COMMERCE_ADMIN_PASSWORD", hide_env_values = true)]
    password: String,

    /// Display name
    #[arg(long, default_value = "Admin")]
    display_name: String,
}

/// `commerce-api create-admin`: creates the account and reports what it did.
pub async fn create_admin(arguments: CreateAdminArguments) -> anyhow::Result<String> {
    let pool = arguments.database.pool()?;
    let hasher = PasswordHasher::with_slots(1);
    let CreateAdminArguments { email, password, display_name, .. } = &arguments;
    ensure_account(&pool, &hasher, Role::Admin, email, password, display_name).await
}

/// Creates the account unless it exists. An account with another role is not changed. Returns a message.
pub(crate) async fn ensure_account(
    pool: &Pool,
    hasher: &PasswordHasher,
    role: Role,
    email: &str,
    password: &str,
    display_name: &str,
) -> anyhow::Result<String> {
    let address: EmailAddress =
        email.parse().map_err(|error| anyhow!("the {role}'s e-mail {email:?} {error}"))?;
    let known = accounts::find_confirmed(&mut *pool.get().await?, &address, role).await?;
    let outcome = match known {
        Some(known) => known,
        None => {
            let password = NewPassword::parse(password, address.as_str());
            let password = password.map_err(|error| anyhow!("the {role}'s password {error}"))?;
            let password = hasher.hash(password).await?;
            let user = NewUser {
                email: address.clone(),
                password,
                display_name: display_name.to_owned(),
                locale: None,
            };
            in_transaction(pool, "create_account", async |conn: &mut AsyncPgConnection| {
                Ok::<_, OnlyDatabase>(accounts::create_confirmed(conn, &user, role).await?)
            })
            .await?
        }
    };
    match outcome {
        CreatedAccount::Created(_) => Ok(format!("Created the {role} {address}.")),
        CreatedAccount::Exists => Ok(format!("The {role} {address} exists already.")),
        CreatedAccount::OtherRole(other) => {
            bail!(
                "{address} belongs to an account with the role {other}: choose another address, or change its role"
            )
        }
    }
}

/// The settings from which `serve` creates an admin.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "First admin")]
pub struct AdminSettings {
    /// Created as an admin if the shop has none yet. Needs the password too
    #[arg(long, env = "COMMERCE_ADMIN_EMAIL", requires = "admin_password")]
    admin_email: Option<String>,

    /// Password of that admin
    #[arg(long, env = "COMMERCE_ADMIN_PASSWORD", hide_env_values = true, requires = "admin_email")]
    admin_password: Option<String>,
}

impl AdminSettings {
    /// Creates the admin as soon as the database is reachable and migrated.
    pub fn see_to(self, pool: Pool, hasher: PasswordHasher) {
        let (Some(email), Some(password)) = (self.admin_email, self.admin_password) else { return };
        if email.is_empty() || password.is_empty() {
            return;
        }
        tokio::spawn(async move {
            const TRIES_MAX: u32 = 60;
            for attempt in 1..=TRIES_MAX {
                match ensure_first_admin(&pool, &hasher, &email, &password).await {
                    Ok(what) => return tracing::info!("{what}"),
                    Err(error) if attempt == 1 || attempt == TRIES_MAX => {
                        tracing::warn!("the admin of COMMERCE_ADMIN_EMAIL could not be made: {error:#}");
                    }
                    Err(_) => {}
                }
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        });
    }
}

/// An account that was deleted must not come back with the password of the settings. So once the shop has an
/// admin, further admins are made by an admin or by `create-admin`.
async fn ensure_first_admin(
    pool: &Pool,
    hasher: &PasswordHasher,
    email: &str,
    password: &str,
) -> anyhow::Result<String> {
    if accounts::has_acting_admin(&mut *pool.get().await?).await? {
        return Ok("The shop has an admin: COMMERCE_ADMIN_EMAIL is not looked at.".to_owned());
    }
    ensure_account(pool, hasher, Role::Admin, email, password, "Admin").await
}

#[cfg(test)]
mod tests {
    use commerce_core::accounts::{UserKey, find_user_by_key};
    use commerce_core::audit_log::Author;
    use commerce_core::flows::delete_account_of;
    use commerce_core::request::Origin;
    use commerce_core::settings::ShopSettings;
    use commerce_core::testing::TestDatabase;

    use super::*;

    fn hasher() -> PasswordHasher {
        PasswordHasher::with_slots(1)
    }

    #[tokio::test]
    async fn an_admin_who_was_deleted_does_not_come_back_with_the_settings() {
        let database = TestDatabase::new().await;
        let pool = database.pool();
        let (email, password) = ("boss@example.com", "correct horse battery");
        let said = ensure_first_admin(pool, &hasher(), email, password).await.unwrap();
        assert_eq!(said, "Created the admin boss@example.com.");
        ensure_account(pool, &hasher(), Role::Admin, "heir@example.com", password, "Heir").await.unwrap();

        let boss = UserKey::parse(email).unwrap();
        let author = Author { origin: Origin::system(), role: None };
        let shop = ShopSettings::default();
        delete_account_of(&mut *database.conn().await, &shop, &boss, None, &author).await.unwrap();
        let said = ensure_first_admin(pool, &hasher(), email, password).await.unwrap();
        assert!(said.starts_with("The shop has an admin"), "{said}");
        assert!(find_user_by_key(&mut *database.conn().await, &boss).await.unwrap().is_none());
        database.finish().await;
    }

    #[tokio::test]
    async fn who_only_registered_the_address_does_not_keep_the_first_admin_from_it() {
        use commerce_core::accounts::find_credentials;
        use commerce_core::flows::{Register, register};
        let database = TestDatabase::new().await;
        let (email, password) = ("boss@example.com", "correct horse battery");
        let strangers = NewPassword::parse("the password of a stranger", email).unwrap();
        let stranger = NewUser {
            email: email.parse().unwrap(),
            password: hasher().hash(strangers.clone()).await.unwrap(),
            display_name: "Win at https://evil.example".to_owned(),
            locale: None,
        };
        let wish = Register {
            email: stranger.email.clone(),
            password: strangers,
            display_name: stranger.display_name.clone(),
            locale: None,
        };
        register(database.pool(), &hasher(), wish).await.unwrap();
        let said = ensure_first_admin(database.pool(), &hasher(), email, password).await.unwrap();
        assert_eq!(said, "Created the admin boss@example.com.");
        let boss = find_user_by_key(&mut *database.conn().await, &UserKey::parse(email).unwrap()).await;
        let boss = boss.unwrap().unwrap();
        assert_eq!((boss.role, boss.display_name.as_str()), (Role::Admin, "Admin"));
        assert!(accounts::is_acting_admin(&boss));
        let credentials =
            async || find_credentials(&mut *database.conn().await, &stranger.email).await.unwrap();
        assert!(credentials().await.check(&hasher(), "the password of a stranger".to_owned()).await.is_err());
        assert!(credentials().await.check(&hasher(), password.to_owned()).await.is_ok());
        // A confirmed account is never replaced.
        let customer =
            accounts::create_confirmed(&mut *database.conn().await, &stranger, Role::Customer).await;
        assert_eq!(customer.unwrap(), CreatedAccount::OtherRole(Role::Admin));
        database.finish().await;
    }
}
