//! `/auth/email`: changing the e-mail address of an account.

use commerce_core::flows;
use diesel_async::AsyncPgConnection;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::http::answer::{Accepted, Okay, Reply};
use crate::http::auth::Customer;
use crate::http::body::Body;
use crate::http::even_time::in_even_time;
use crate::http::problem::{OnlyDatabase, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::accounts::mail_sent::MailSent;
use crate::resources::accounts::me::Account;
use crate::resources::accounts::password::{PasswordRefusal, address, prove_password};
use crate::resources::accounts::registration::WrongCode;

pub struct EmailChanges(pub State);

#[OpenApi(tag = "Tag::Auth")]
impl EmailChanges {
    /// Request a change of e-mail address
    ///
    /// Mails a code of six digits to the new address, at most once a minute. `POST /auth/email/confirm` takes
    /// the code. The old address gets a notice. The answer is the same whether or not the new address has an
    /// account.
    #[oai(path = "/auth/email/change", method = "post", operation_id = "change_email")]
    async fn change(
        &self,
        customer: Customer,
        body: Body<ChangeEmailRequest>,
    ) -> Result<Accepted<MailSent>, Refused<PasswordRefusal>> {
        in_even_time(async {
            let new_email = address(&body.new_email, "/new_email")?;
            let proven = prove_password(&self.0, &customer, body.value.password).await?;
            self.0.limits.by_account("change_email", new_email.as_str()).await?;
            let change = async move |conn: &mut AsyncPgConnection| {
                Ok::<_, OnlyDatabase>(flows::request_email_change(conn, &proven, &new_email).await?)
            };
            let asked = self.0.transaction("change_email", change).await?;
            if asked { Ok(Accepted::new(MailSent::example())) } else { Err(PasswordRefusal::Wrong.into()) }
        })
        .await
    }

    /// Confirm the new e-mail address
    ///
    /// Takes the code that was mailed to the new address. A code can be used once, within ten minutes and
    /// with at most five guesses. The account then has the new address, and a notice is mailed to the old
    /// one.
    #[oai(path = "/auth/email/confirm", method = "post", operation_id = "confirm_email")]
    async fn confirm(
        &self,
        customer: Customer,
        body: Body<ConfirmEmailRequest>,
    ) -> Result<Okay<Account>, Refused<WrongCode>> {
        let (state, code, user_id) = (self.0.clone(), body.value.code, customer.user_id);
        let confirm = async move |conn: &mut AsyncPgConnection| {
            let changed = flows::confirm_email_change(conn, &state.secret, user_id, &code).await?;
            Ok::<_, OnlyDatabase>(changed)
        };
        // A wrong guess is committed too, because it must be counted.
        let user = self.0.transaction("confirm_email", confirm).await?;
        Ok(Okay::new(Reply::from(user.ok_or(WrongCode)?)))
    }
}

#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct ChangeEmailRequest {
    #[oai(validator(min_length = 3, max_length = 254))]
    new_email: String,
    /// The account's current password.
    #[oai(validator(min_length = 1, max_length = 128))]
    password: String,
}

impl Example for ChangeEmailRequest {
    fn example() -> Self {
        Self { new_email: "ada.king@example.com".to_owned(), password: "correct horse battery".to_owned() }
    }
}

#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct ConfirmEmailRequest {
    /// Six digits.
    #[oai(validator(min_length = 6, max_length = 6))]
    code: String,
}

impl Example for ConfirmEmailRequest {
    fn example() -> Self {
        Self { code: "123456".to_owned() }
    }
}
