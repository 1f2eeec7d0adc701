//! `/auth/password`: resetting a forgotten password and changing a known one.

use commerce_core::accounts::{self, HashError, LoginError, NewPassword, ProvenUser, ResetProof};
use commerce_core::email_address::EmailAddress;
use commerce_core::flows;
use diesel_async::AsyncPgConnection;
use poem::Request;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::http::answer::{Accepted, NoContent};
use crate::http::auth::Customer;
use crate::http::body::Body;
use crate::http::client_ip::{ClientIp, network_of};
use crate::http::even_time::in_even_time;
use crate::http::problem::{Code, Fault, OnlyDatabase, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::accounts::mail_sent::MailSent;

pub struct Passwords(pub State);

#[OpenApi(tag = "Tag::Auth")]
impl Passwords {
    /// Request a password reset
    ///
    /// Mails a link and a code of six digits, at most once a minute and six times an hour. After twelve mails in a day,
    /// further ones have a link only. The link is valid
    /// for thirty minutes, the code for ten minutes and five guesses. `POST /auth/password/reset` takes
    /// either of them once. The answer is the same whether or not the address has an account.
    #[oai(path = "/auth/password/forgot", method = "post", operation_id = "forgot_password")]
    async fn forgot(
        &self,
        body: Body<ForgotPasswordRequest>,
    ) -> Result<Accepted<MailSent>, Refused<OnlyDatabase>> {
        self.0.limits.by_account("forgot_password", &body.email).await?;
        let email = known_address(&body.email, "/email")?;
        let mail = async move |conn: &mut AsyncPgConnection| {
            flows::request_password_reset(conn, &email).await?;
            Ok(MailSent::example())
        };
        in_even_time(self.0.write("forgot_password", None, mail)).await
    }

    /// Reset the password
    ///
    /// Takes the `token` of the mailed link, or `email` with the mailed `code`. All sessions of the account
    /// end, all other links and codes become invalid, and a notice is mailed to the owner. Guesses at the old password
    /// no longer count against the login.
    #[oai(path = "/auth/password/reset", method = "post", operation_id = "reset_password")]
    async fn reset(
        &self,
        body: Body<ResetPasswordRequest>,
        request: &Request,
    ) -> Result<NoContent, Refused<ResetRefusal>> {
        if let Some(email) = &body.email {
            self.0.limits.by_account("reset_password", email).await?;
        }
        Ok(in_even_time(self.set_anew(body.value, request.data::<ClientIp>().copied())).await?)
    }

    /// Change the password
    ///
    /// All other sessions of the account end, and a notice is mailed to the owner.
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
        // A change that ran at the same time was faster.
        changed.map(|_| NoContent::done()).ok_or_else(|| PasswordRefusal::Wrong.into())
    }
}

impl Passwords {
    async fn set_anew(
        &self,
        body: ResetPasswordRequest,
        from: Option<ClientIp>,
    ) -> Result<NoContent, Problem> {
        let proof = self.prove(&body).await?;
        let password = new_password(&body.new_password, proof.email().as_str())?;
        let password = self.0.hasher.hash(password).await?;
        let reset = async move |conn: &mut AsyncPgConnection| {
            let user = flows::reset_password(conn, &proof, &password).await?;
            // The owner will log in from here, whatever others guess elsewhere.
            if let (Some(user), Some(ClientIp(ip))) = (&user, from) {
                accounts::remember_network(conn, user.id, &network_of(ip)).await?;
            }
            Ok::<_, OnlyDatabase>(user)
        };
        let user = self.0.transaction("reset_password", reset).await?;
        let user = user.ok_or_else(|| body.refusal().problem())?;
        self.0.sessions.forget_user(user.id);
        self.0.limits.forget_guesses(user.email.as_str(), from).await?;
        Ok(NoContent::done())
    }

    /// Checks that the caller has the mail. A guess is counted before anything else, and a password is hashed
    /// only after a right guess.
    async fn prove(&self, body: &ResetPasswordRequest) -> Result<ResetProof, Problem> {
        // A password that is bad for anybody is refused first, so that it costs no guess.
        new_password(&body.new_password, body.email.as_deref().unwrap_or_default())?;
        let proof = match (&body.token, &body.email, &body.code) {
            (Some(token), None, None) => {
                accounts::prove_by_token(&mut *self.0.conn().await?, &self.0.secret, token).await?
            }
            (None, Some(email), Some(code)) => match EmailAddress::of_account(email) {
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
        // A wrong guess is committed too, because it must be counted.
        self.0.transaction("guess_reset_code", guess).await
    }
}

/// Reads the e-mail address of an account. `pointer` is its place in the body.
pub fn known_address(text: &str, pointer: &str) -> Result<EmailAddress, Problem> {
    let email = EmailAddress::of_account(text);
    email.map_err(|error| Problem::invalid(vec![Fault::at(pointer, error.to_string())]))
}

/// Reads a new e-mail address. `pointer` is its place in the body.
pub fn address(text: &str, pointer: &str) -> Result<EmailAddress, Problem> {
    let email = text.parse::<EmailAddress>();
    email.map_err(|error| Problem::invalid(vec![Fault::at(pointer, error.to_string())]))
}

fn new_password(text: &str, email: &str) -> Result<NewPassword, Problem> {
    let password = NewPassword::parse(text, email);
    password.map_err(|error| Problem::invalid(vec![Fault::at("/new_password", error.to_string())]))
}

/// Checks the password of a user who is already logged in. Wrong guesses are counted, because the session may
/// be stolen.
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

/// Why a request that repeats the password is refused.
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

/// Why a mailed link or code is refused.
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
    /// The part of the mailed link after `token=`.
    #[oai(validator(min_length = 1, max_length = 200))]
    token: Option<String>,
    #[oai(validator(min_length = 3, max_length = 254))]
    email: Option<String>,
    /// Six digits.
    #[oai(validator(min_length = 6, max_length = 6))]
    code: Option<String>,
    /// At least eight characters, and not easy to guess.
    #[oai(validator(min_length = 8, max_length = 128))]
    new_password: String,
}

impl ResetPasswordRequest {
    fn refusal(&self) -> ResetRefusal {
        if self.token.is_some() { ResetRefusal::Token } else { ResetRefusal::Code }
    }

    fn incomplete(&self) -> Problem {
        let fault = match (&self.token, &self.email, &self.code) {
            (Some(_), ..) => Fault::at("/token", "must be sent without email and code"),
            (None, Some(_), None) => Fault::at("/code", "is required with email"),
            (None, None, Some(_)) => Fault::at("/email", "is required with code"),
            _ => Fault::at("/token", "is required, or email and code"),
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
    /// At least eight characters, and not easy to guess.
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
