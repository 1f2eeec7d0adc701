//! `/auth`: registration.
//!
//! Nothing here tells whether an e-mail address has an account. The answers are the same, and take as long.

use commerce_core::accounts::{NewPassword, check_display_name};
use commerce_core::email_address::EmailAddress;
use commerce_core::error::FieldErrors;
use commerce_core::flows::{self, Register, RegisterError, VerifiedEmail};
use diesel_async::AsyncPgConnection;
use poem::Request;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::http::answer::{Accepted, NoContent};
use crate::http::body::Body;
use crate::http::client_ip::ClientIp;
use crate::http::even_time::in_even_time;
use crate::http::language::{AcceptLanguage, checked_locale};
use crate::http::problem::{Code, Fault, OnlyDatabase, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::accounts::mail_sent::MailSent;
use crate::resources::accounts::password::known_address;

pub struct Registrations(pub State);

#[OpenApi(tag = "Tag::Auth")]
impl Registrations {
    /// Register
    ///
    /// Mails a code of six digits to the address, for `POST /auth/verify-email`. If the address has an account, the
    /// mail says so instead. The answer is the same in both cases.
    ///
    /// The code proves the mailbox, but not who chose the password. An address that is registered with two
    /// passwords before it is verified keeps neither of them. After the verification a second mail lets its owner
    /// set a password. Until then a login is refused as `invalid_credentials`.
    ///
    /// Mails are in the language of `locale`, or else the one that `Accept-Language` prefers.
    #[oai(path = "/auth/register", method = "post", operation_id = "register")]
    async fn register(
        &self,
        #[oai(name = "Accept-Language")] language: AcceptLanguage,
        body: Body<RegisterRequest>,
        request: &Request,
    ) -> Result<Accepted<MailSent>, Refused<RegisterError>> {
        in_even_time(async {
            if let Err(limited) = self.0.limits.by_account("register", &body.email).await {
                self.contest(&body.email).await?;
                return Err(limited.into());
            }
            let wish = body.value.wish(language)?;
            let state = self.0.clone();
            let hasher = state.hasher_for(request.data::<ClientIp>());
            let register = async move { flows::register(&state.pool, &hasher, wish).await };
            self.0.to_its_end(register).await??;
            Ok(Accepted::new(MailSent::example()))
        })
        .await
    }

    /// Verify an e-mail address
    ///
    /// A code can be used once, within ten minutes. It is void after five wrong guesses.
    #[oai(path = "/auth/verify-email", method = "post", operation_id = "verify_email")]
    async fn verify_email(&self, body: Body<VerifyEmailRequest>) -> Result<NoContent, Refused<WrongCode>> {
        self.0.limits.by_account("verify_email", &body.email).await?;
        let VerifyEmailRequest { email, code } = body.value;
        let Ok(email) = EmailAddress::of_account(&email) else { return Err(WrongCode.into()) };
        let state = self.0.clone();
        let verified = async move |conn: &mut AsyncPgConnection| {
            Ok::<_, OnlyDatabase>(flows::verify_email(conn, &state.secret, &email, &code).await?)
        };
        // A wrong guess is committed as well: it counts.
        match in_even_time(self.0.transaction("verify_email", verified)).await? {
            VerifiedEmail::Verified => Ok(NoContent::done()),
            VerifiedEmail::InvalidCode => Err(WrongCode.into()),
        }
    }

    /// Request another code
    ///
    /// Mails another code to an address that is registered and not verified, at most one a minute and six an hour.
    /// The answer is always the same.
    #[oai(path = "/auth/resend-code", method = "post", operation_id = "resend_code")]
    async fn resend_code(
        &self,
        body: Body<ResendCodeRequest>,
    ) -> Result<Accepted<MailSent>, Refused<OnlyDatabase>> {
        self.0.limits.by_account("resend_code", &body.email).await?;
        let email = known_address(&body.email, "/email")?;
        let mail = async move |conn: &mut AsyncPgConnection| {
            flows::resend_code(conn, &email).await?;
            Ok(MailSent::example())
        };
        in_even_time(self.0.write("resend_code", None, mail)).await
    }
}

impl Registrations {
    /// Contests the address of a registration that the rate limit refused.
    async fn contest(&self, email: &str) -> Result<(), Problem> {
        let Ok(email) = email.parse::<EmailAddress>() else { return Ok(()) };
        let contest = async move |conn: &mut AsyncPgConnection| {
            Ok::<_, OnlyDatabase>(flows::contest_registration(conn, &email).await?)
        };
        self.0.transaction("contest_registration", contest).await
    }
}

impl Refusal for RegisterError {
    const CODES: &'static [Code] = &[];

    fn problem(self) -> Problem {
        match self {
            Self::Hash(error) => error.into(),
            Self::NoConnection(error) => error.into(),
            Self::Contended => Problem::unavailable(self),
            Self::Database(error) => error.into(),
        }
    }
}

/// Somebody who wants an account.
#[derive(Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
struct RegisterRequest {
    #[oai(validator(min_length = 3, max_length = 254))]
    email: String,
    /// Eight characters or more; not one that is tried first.
    #[oai(validator(min_length = 8, max_length = 128))]
    password: String,
    #[oai(validator(min_length = 1, max_length = 200))]
    display_name: String,
    /// The language of mails, such as `de` or `en-GB`.
    #[oai(validator(max_length = 35))]
    locale: Option<String>,
}

impl RegisterRequest {
    /// Checks what the schema cannot.
    fn wish(self, language: AcceptLanguage) -> Result<Register, Problem> {
        let mut faults = FieldErrors::default();
        let email = self.email.parse::<EmailAddress>();
        if let Err(error) = &email {
            faults.push("/email", error.to_string());
        }
        let password = NewPassword::parse(&self.password, &self.email.to_lowercase());
        if let Err(error) = &password {
            faults.push("/password", error.to_string());
        }
        let display_name = check_display_name(&self.display_name, &mut faults);
        let locale = checked_locale(&self.locale);
        match (email, password, locale, faults.is_empty()) {
            (Ok(email), Ok(password), Ok(locale), true) => {
                Ok(Register { email, password, display_name, locale: locale.or(language.0) })
            }
            (.., locale, _) => {
                let faults = faults.into_vec().into_iter().map(Fault::from);
                Err(Problem::invalid(faults.chain(locale.err()).collect()))
            }
        }
    }
}

impl Example for RegisterRequest {
    fn example() -> Self {
        Self {
            email: "ada@example.com".to_owned(),
            password: "correct horse battery".to_owned(),
            display_name: "Ada Lovelace".to_owned(),
            locale: Some("en-GB".to_owned()),
        }
    }
}

/// The code from the mail.
#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct VerifyEmailRequest {
    #[oai(validator(min_length = 3, max_length = 254))]
    email: String,
    /// Six digits.
    #[oai(validator(min_length = 6, max_length = 6))]
    code: String,
}

impl Example for VerifyEmailRequest {
    fn example() -> Self {
        Self { email: "ada@example.com".to_owned(), code: "123456".to_owned() }
    }
}

#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct ResendCodeRequest {
    #[oai(validator(min_length = 3, max_length = 254))]
    email: String,
}

impl Example for ResendCodeRequest {
    fn example() -> Self {
        Self { email: "ada@example.com".to_owned() }
    }
}

/// A mailed code was not good.
pub struct WrongCode;

impl Refusal for WrongCode {
    const CODES: &'static [Code] = &[Code::InvalidCode];

    fn problem(self) -> Problem {
        Problem::new(Code::InvalidCode, Code::InvalidCode.meaning().trim())
    }
}
