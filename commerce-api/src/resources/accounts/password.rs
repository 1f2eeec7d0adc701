//! `/auth/password`: a forgotten password set anew, and a known one changed.

use commerce_core::accounts::{self, HashError, LoginError, NewPassword, ProvenUser, ResetProof};
use commerce_core::email_address::EmailAddress;
use commerce_core::flows;
use diesel_async::AsyncPgConnection;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::http::answer::{Accepted, NoContent};
use crate::http::auth::Customer;
use crate::http::body::Body;
use crate::http::even_time::in_even_time;
use crate::http::problem::{Code, Fault, OnlyDatabase, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::accounts::mail_sent::MailSent;

pub struct Passwords(pub State);

#[OpenApi(tag = "Tag::Auth")]
impl Passwords {
    /// Forgot the password
    ///
    /// Mails a link (good for thirty minutes) and a code of six digits (good for ten minutes and five guesses), at most once a
    /// minute and six times an hour. Either of them, once, lets `POST /auth/password/reset` set a new password. The answer is
    /// the same whether or not the address has an account.
    #[oai(path = "/auth/password/forgot", method = "post", operation_id = "forgot_password")]
    async fn forgot(
        &self,
        body: Body<ForgotPasswordRequest>,
    ) -> Result<Accepted<MailSent>, Refused<OnlyDatabase>> {
        self.0.limits.by_account("forgot_password", &body.email).await?;
        let email = address(&body.email, "/email")?;
        let mail = async move |conn: &mut AsyncPgConnection| {
            flows::request_password_reset(conn, &email).await?;
            Ok(MailSent::example())
        };
        in_even_time(self.0.write("forgot_password", None, mail)).await
    }

    /// Set a new password
    ///
    /// With the `token` of the mailed link, or with `email` and the mailed `code`. Every session of the account ends, whatever
    /// else was mailed becomes useless, and the owner is told by mail.
    #[oai(path = "/auth/password/reset", method = "post", operation_id = "reset_password")]
    async fn reset(&self, body: Body<ResetPasswordRequest>) -> Result<NoContent, Refused<ResetRefusal>> {
        if let Some(email) = &body.email {
            self.0.limits.by_account("reset_password", email).await?;
        }
        Ok(in_even_time(self.set_anew(body.value)).await?)
    }

    /// Change the password
    ///
    /// Every other session of the account ends, and the owner is told by mail.
    #[oai(path = "/auth/password/change", method = "post", operation_id = "change_password")]
    async fn change(
        &self,
        customer: Customer,
        body: Body<ChangePasswordRequest>,
    ) -> Result<NoContent, Refused<PasswordRefusal>> {
        let user = accounts::find_user(&mut *self.0.conn().await?, customer.user_id).await?;
        let email = user.map(|user| user.email.to_string()).unwrap_or_default();
        let password = new_password(&body.new_password, &email)?;
        let proven = prove_password(&self.0, &customer, body.value.old_password).await?;
        let password = self.0.hasher.hash(password).await?;
        let keep = customer.session_id;
        let change = async move |conn: &mut AsyncPgConnection| {
            Ok::<_, OnlyDatabase>(flows::change_password(conn, &proven, &password, keep).await?)
        };
        let changed = self.0.transaction("change_password", change).await?;
        self.0.sessions.forget_user(customer.user_id);
        // Another change was quicker.
        changed.map(|_| NoContent::done()).ok_or_else(|| PasswordRefusal::Wrong.into())
    }
}

impl Passwords {
    async fn set_anew(&self, body: ResetPasswordRequest) -> Result<NoContent, Problem> {
        let proof = self.prove(&body).await?;
        let password = new_password(&body.new_password, proof.email().as_str())?;
        let password = self.0.hasher.hash(password).await?;
        let reset = async move |conn: &mut AsyncPgConnection| {
            Ok::<_, OnlyDatabase>(flows::reset_password(conn, &proof, &password).await?)
        };
        let user = self.0.transaction("reset_password", reset).await?;
        let user = user.ok_or_else(|| body.refusal().problem())?;
        self.0.sessions.forget_user(user.id);
        Ok(NoContent::done())
    }

    /// Who has the mail. A guess is counted before anything else is done, and a password is hashed only for who guessed right.
    async fn prove(&self, body: &ResetPasswordRequest) -> Result<ResetProof, Problem> {
        // What is wrong with the password regardless of whose it is costs no guess.
        new_password(&body.new_password, body.email.as_deref().unwrap_or_default())?;
        let proof = match (&body.token, &body.email, &body.code) {
            (Some(token), None, None) => {
                accounts::prove_by_token(&mut *self.0.conn().await?, &self.0.secret, token).await?
            }
            (None, Some(email), Some(code)) => match email.parse::<EmailAddress>() {
                Ok(email) => self.guess(email, code.clone()).await?,
                Err(_) => None,
            },
            _ => return Err(body.incomplete()),
        };
        proof.ok_or_else(|| body.refusal().problem())
    }

    async fn guess(&self, email: EmailAddress, code: String) -> Result<Option<ResetProof>, Problem> {
        let state = self.0.clone();
        let guess = async move |conn: &mut AsyncPgConnection| {
            Ok::<_, OnlyDatabase>(accounts::prove_by_code(conn, &state.secret, &email, &code).await?)
        };
        // A wrong guess is committed as well: it counts.
        self.0.transaction("guess_reset_code", guess).await
    }
}

/// Reads an address; `pointer` is where it stands in the body.
pub fn address(text: &str, pointer: &str) -> Result<EmailAddress, Problem> {
    let email = text.parse::<EmailAddress>();
    email.map_err(|error| Problem::invalid(vec![Fault::at(pointer, error.to_string())]))
}

fn new_password(text: &str, email: &str) -> Result<NewPassword, Problem> {
    let password = NewPassword::parse(text, email);
    password.map_err(|error| Problem::invalid(vec![Fault::at("/new_password", error.to_string())]))
}

/// Asks somebody who is logged in for the password once more. Wrong ones are counted: the session may be stolen.
pub async fn prove_password(
    state: &State,
    customer: &Customer,
    password: String,
) -> Result<ProvenUser, PasswordRefusal> {
    let guess = state
        .limits
        .count_guess(&customer.user_id.to_string(), None)
        .await
        .map_err(PasswordRefusal::Failed)?;
    let proven = check_password(state, customer, password).await;
    if !matches!(proven, Err(PasswordRefusal::Wrong)) {
        state.limits.give_back_guess(guess).await.map_err(PasswordRefusal::Failed)?;
    }
    proven
}

async fn check_password(
    state: &State,
    customer: &Customer,
    password: String,
) -> Result<ProvenUser, PasswordRefusal> {
    let credentials = {
        let mut conn = state.conn().await.map_err(PasswordRefusal::Failed)?;
        accounts::find_own_credentials(&mut conn, customer.user_id).await
    };
    let credentials = credentials.map_err(|error| PasswordRefusal::Failed(error.into()))?;
    credentials.check(&state.hasher, password).await.map_err(|error| match error {
        LoginError::Hash(error) => PasswordRefusal::Failed(error.into()),
        LoginError::Database(error) => PasswordRefusal::Failed(error.into()),
        _ => PasswordRefusal::Wrong,
    })
}

/// Why nothing is done for somebody who was asked for the password once more.
#[derive(Debug)]
pub enum PasswordRefusal {
    Wrong,
    Failed(Problem),
}

impl Refusal for PasswordRefusal {
    const CODES: &'static [Code] = &[Code::WrongPassword];

    fn problem(self) -> Problem {
        match self {
            Self::Wrong => Problem::new(Code::WrongPassword, Code::WrongPassword.meaning()),
            Self::Failed(problem) => problem,
        }
    }
}

impl From<HashError> for Refused<PasswordRefusal> {
    fn from(error: HashError) -> Self {
        Problem::from(error).into()
    }
}

/// What was mailed is not good.
#[derive(Debug)]
enum ResetRefusal {
    Token,
    Code,
}

impl Refusal for ResetRefusal {
    const CODES: &'static [Code] = &[Code::InvalidResetToken, Code::InvalidCode];

    fn problem(self) -> Problem {
        let code = match self {
            Self::Token => Code::InvalidResetToken,
            Self::Code => Code::InvalidCode,
        };
        Problem::new(code, code.meaning())
    }
}

#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct ForgotPasswordRequest {
    #[oai(validator(min_length = 3, max_length = 254))]
    email: String,
}

impl Example for ForgotPasswordRequest {
    fn example() -> Self {
        Self { email: "ada@example.com".to_owned() }
    }
}

/// Either `token`, or `email` and `code`.
#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct ResetPasswordRequest {
    /// What follows `token=` in the mailed link.
    #[oai(validator(min_length = 1, max_length = 200))]
    token: Option<String>,
    #[oai(validator(min_length = 3, max_length = 254))]
    email: Option<String>,
    /// Six digits.
    #[oai(validator(min_length = 6, max_length = 6))]
    code: Option<String>,
    /// Eight characters or more; not one that is easily guessed.
    #[oai(validator(min_length = 8, max_length = 128))]
    new_password: String,
}

impl ResetPasswordRequest {
    fn refusal(&self) -> ResetRefusal {
        if self.token.is_some() { ResetRefusal::Token } else { ResetRefusal::Code }
    }

    fn incomplete(&self) -> Problem {
        let fault = match (&self.token, &self.email, &self.code) {
            (Some(_), ..) => Fault::at("/token", "must stand alone, without email and code"),
            (None, Some(_), None) => Fault::at("/code", "is needed beside email"),
            (None, None, Some(_)) => Fault::at("/email", "is needed beside code"),
            _ => Fault::at("/token", "is needed, or email and code"),
        };
        Problem::invalid(vec![fault])
    }
}

impl Example for ResetPasswordRequest {
    fn example() -> Self {
        Self {
            token: None,
            email: Some("ada@example.com".to_owned()),
            code: Some("123456".to_owned()),
            new_password: "staple battery correct".to_owned(),
        }
    }
}

#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct ChangePasswordRequest {
    #[oai(validator(min_length = 1, max_length = 128))]
    old_password: String,
    /// Eight characters or more; not one that is easily guessed.
    #[oai(validator(min_length = 8, max_length = 128))]
    new_password: String,
}

impl Example for ChangePasswordRequest {
    fn example() -> Self {
        Self {
            old_password: "correct horse battery".to_owned(),
            new_password: "staple battery correct".to_owned(),
        }
    }
}
