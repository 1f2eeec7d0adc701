//! `/me/second-factor`: codes of an authenticator app at login.

use commerce_core::accounts::{self, AppSecret, RECOVERY_CODES, SecondFactorError, is_app_code};
use commerce_core::flows;
use diesel_async::AsyncPgConnection;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::http::answer::{Created, NoContent, Okay, Reply};
use crate::http::auth::Customer;
use crate::http::body::Body;
use crate::http::problem::{Code, Problem, Refusal, Refused};
use crate::http::rate_limit::Guess;
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::accounts::password::prove_password;

pub struct SecondFactor(pub State);

#[OpenApi(tag = "Tag::Me")]
impl SecondFactor {
    /// Begin to set up a second factor
    ///
    /// Makes a secret for an authenticator app (TOTP, RFC 6238). Show it as a QR code of `uri`, or as a text to type
    /// in. It takes effect with `POST /me/second-factor/confirm`. Until then, another call replaces it.
    #[oai(path = "/me/second-factor", method = "post", operation_id = "begin_second_factor")]
    async fn begin(
        &self,
        customer: Customer,
        body: Body<BeginSecondFactorRequest>,
    ) -> Result<Created<AuthenticatorSecret>, Refused<SecondFactorError>> {
        let proven = prove_password(&self.0, &customer, body.value.password).await;
        let proven = proven.map_err(Refusal::problem)?;
        let state = self.0.clone();
        let begin = async move |conn: &mut AsyncPgConnection| {
            let issuer = &state.second_factors.issuer;
            let secret = accounts::begin_second_factor(conn, &state.secret, &proven, issuer).await?;
            Ok(Reply::new(AuthenticatorSecret::from(secret)))
        };
        self.0.write("begin_second_factor", None, begin).await
    }

    /// Confirm a second factor
    ///
    /// Takes a first code of the app. From now on every login of the account asks for a code, and all other sessions
    /// of the account end. The answer has ten recovery codes, each of which takes the place of a code once. They are
    /// shown only now: store them apart from the phone.
    #[oai(path = "/me/second-factor/confirm", method = "post", operation_id = "confirm_second_factor")]
    async fn confirm(
        &self,
        customer: Customer,
        body: Body<ConfirmSecondFactorRequest>,
    ) -> Result<Okay<RecoveryCodes>, Refused<SecondFactorError>> {
        let (state, id, keep, code) =
            (self.0.clone(), customer.user_id, customer.session_id, body.value.code);
        accounts::awaits_first_code(&mut *self.0.conn().await?, id).await?;
        let guess = self.0.limits.count_code_guess(id).await?;
        let confirm = async move |conn: &mut AsyncPgConnection| {
            flows::confirm_second_factor(conn, &state.secret, id, keep, &code).await
        };
        let confirmed = self.0.transaction("confirm_second_factor", confirm).await;
        self.0.sessions.forget_user(id);
        let recovery_codes = self.settle(Some(guess), confirmed).await?;
        Ok(Okay::new(Reply::new(RecoveryCodes { recovery_codes })))
    }

    /// Remove your second factor
    ///
    /// Takes the password and a code of the app, or a recovery code. Logins ask for the password alone from now on.
    #[oai(path = "/me/second-factor", method = "delete", operation_id = "remove_second_factor")]
    async fn remove(
        &self,
        customer: Customer,
        body: Body<RemoveSecondFactorRequest>,
    ) -> Result<NoContent, Refused<SecondFactorError>> {
        let RemoveSecondFactorRequest { password, code } = body.value;
        let proven = prove_password(&self.0, &customer, password).await;
        let proven = proven.map_err(Refusal::problem)?;
        let (state, id) = (self.0.clone(), customer.user_id);
        let guess = if is_app_code(&code) { Some(self.0.limits.count_code_guess(id).await?) } else { None };
        let remove = async move |conn: &mut AsyncPgConnection| {
            flows::remove_second_factor(conn, &state.secret, &proven, &code).await
        };
        let removed = self.0.transaction("remove_second_factor", remove).await;
        self.0.sessions.forget_user(id);
        self.settle(guess, removed).await?;
        Ok(NoContent::done())
    }
}

impl SecondFactor {
    /// Gives a guess back, unless it was wrong.
    async fn settle<T>(&self, guess: Option<Guess>, outcome: Result<T, Problem>) -> Result<T, Problem> {
        let is_wrong = matches!(&outcome, Err(problem) if problem.code == Code::InvalidCode);
        if let Some(guess) = guess.filter(|_| !is_wrong) {
            self.0.limits.give_back_guess(guess).await?;
        }
        outcome
    }
}

/// Asks for the password, so that nobody can lock the owner out from an unattended device.
#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct BeginSecondFactorRequest {
    #[oai(validator(min_length = 1, max_length = 128))]
    password: String,
}

impl Example for BeginSecondFactorRequest {
    fn example() -> Self {
        Self { password: "correct horse battery".to_owned() }
    }
}

#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct ConfirmSecondFactorRequest {
    /// The six digits that the app shows.
    #[oai(validator(min_length = 6, max_length = 10))]
    code: String,
}

impl Example for ConfirmSecondFactorRequest {
    fn example() -> Self {
        Self { code: "123456".to_owned() }
    }
}

#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct RemoveSecondFactorRequest {
    #[oai(validator(min_length = 1, max_length = 128))]
    password: String,
    /// The six digits that the app shows, or a recovery code.
    #[oai(validator(min_length = 6, max_length = 40))]
    code: String,
}

impl Example for RemoveSecondFactorRequest {
    fn example() -> Self {
        Self { password: "correct horse battery".to_owned(), code: "123456".to_owned() }
    }
}

/// What an authenticator app needs to know.
#[derive(Object)]
#[oai(example)]
struct AuthenticatorSecret {
    /// 32 characters of base32, to type into the app.
    secret: String,
    /// `otpauth://totp/…`, to show as a QR code.
    uri: String,
}

impl From<AppSecret> for AuthenticatorSecret {
    fn from(AppSecret { secret, uri }: AppSecret) -> Self {
        Self { secret, uri }
    }
}

impl Example for AuthenticatorSecret {
    fn example() -> Self {
        Self {
            secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned(),
            uri: "otpauth://totp/shop.example:ada@example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&\
                  issuer=shop.example&algorithm=SHA1&digits=6&period=30"
                .to_owned(),
        }
    }
}

/// Codes for when the app is lost.
#[derive(Object)]
#[oai(example)]
struct RecoveryCodes {
    /// Each can be used once.
    recovery_codes: Vec<String>,
}

impl Example for RecoveryCodes {
    fn example() -> Self {
        Self { recovery_codes: vec!["GEZD-GNBV-GY3T-QOJQ".to_owned(); RECOVERY_CODES] }
    }
}

impl Refusal for SecondFactorError {
    const CODES: &'static [Code] =
        &[Code::WrongPassword, Code::SecondFactorExists, Code::NotFound, Code::InvalidCode];

    fn problem(self) -> Problem {
        match self {
            Self::PasswordChanged => Problem::new(Code::WrongPassword, Code::WrongPassword.meaning()),
            Self::AlreadySetUp => Problem::new(Code::SecondFactorExists, Code::SecondFactorExists.meaning()),
            Self::NotSetUp => Problem::not_found("second factor"),
            Self::WrongCode => Problem::new(Code::InvalidCode, "The code is wrong, or was used before."),
            Self::Database(error) => error.into(),
        }
    }
}
