//! Rate limits: by address for every operation that needs no login, and by account.
//!
//! `COMMERCE_RATE_LIMITS=off` switches off the limits by address and the limits of mails to an account.
//! Guesses at passwords are always limited, and so are guesses at codes (see
//! `commerce_core::accounts::one_time_code`).

use std::time::Duration;

use clap::ValueEnum;
use commerce_core::db::Pool;
use commerce_core::email_address::EmailAddress;
use commerce_core::rate_limit::{self, Policy, Taken};
use poem::Response;
use poem::http::{HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::http::client_ip::{ClientIp, network_of};
use crate::http::problem::{Code, Problem};

/// Whether requests by address and mails are limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RateLimits {
    On,
    Off,
}

/// A POST without login: its operationId, its path, how often an address may send it, and how often it may be
/// sent for one account.
struct Limited {
    operation: &'static str,
    path: &'static str,
    by_ip: Policy,
    /// `None` for logins. [`RateLimiter::count_guess`] counts their guesses.
    by_account: Option<Policy>,
}

const LIMITED: [Limited; 6] = [
    Limited {
        operation: "register",
        path: "/v1/auth/register",
        by_ip: Policy::new("register-ip", 20, 10),
        by_account: Some(Policy::new("register-account", 6, 60)),
    },
    Limited {
        operation: "verify_email",
        path: "/v1/auth/verify-email",
        by_ip: Policy::new("verify-ip", 30, 5),
        by_account: Some(Policy::new("verify-account", 60, 60)),
    },
    Limited {
        operation: "resend_code",
        path: "/v1/auth/resend-code",
        by_ip: Policy::new("resend-ip", 20, 10),
        by_account: Some(Policy::new("resend-account", 10, 60)),
    },
    Limited {
        operation: "login",
        path: "/v1/auth/login",
        by_ip: Policy::new("login-ip", 60, 5),
        by_account: None,
    },
    Limited {
        operation: "forgot_password",
        path: "/v1/auth/password/forgot",
        by_ip: Policy::new("forgot-ip", 20, 10),
        by_account: Some(Policy::new("forgot-account", 10, 60)),
    },
    Limited {
        operation: "reset_password",
        path: "/v1/auth/password/reset",
        by_ip: Policy::new("reset-ip", 30, 5),
        by_account: Some(Policy::new("reset-account", 60, 60)),
    },
];

/// A logged-in user can request mails to an address that is not their own. Such an address counts as an
/// account, whether or not it has one.
const MAILS_TO_NEW_ADDRESS: Policy = Policy::new("change-email-account", 10, 60);

/// Wrong passwords for one account from one network: ten at once, then one in ninety seconds. The account
/// need not exist. Because each network counts alone, a stranger elsewhere does not soon lock the owner out.
const PASSWORD_GUESSES_FROM_NETWORK: Policy = Policy::new("login-account", 10, 15);
/// Wrong passwords for one account from all networks: a hundred, the most that NIST SP 800-63B (5.2.2)
/// allows.
const PASSWORD_GUESSES: Policy = Policy::new("login-account-anywhere", 100, 15);

/// Operations that ask a logged-in user for the password again. Guesses at it are counted too.
const ASKS_FOR_PASSWORD: [&str; 3] = ["change_password", "change_email", "delete_me"];

/// Whether the operation can answer 429. The spec needs to know.
pub fn limits(operation: &str) -> bool {
    LIMITED.iter().any(|limited| limited.operation == operation) || ASKS_FOR_PASSWORD.contains(&operation)
}

/// A guess at a password that was counted. If it was right, it is given back.
#[derive(Debug)]
#[must_use]
pub struct Guess([(Policy, String); 2]);

const POLICY_HEADER: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT_HEADER: HeaderName = HeaderName::from_static("ratelimit");

/// The facts for the rate limit headers.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    policy: Policy,
    taken: Taken,
}

impl Told {
    /// `RateLimit-Policy` and `RateLimit`, as in the IETF's draft-ietf-httpapi-ratelimit-headers.
    fn headers(&self) -> (String, String) {
        let Policy { name, quota, window } = self.policy;
        (
            format!("\"{name}\";q={quota};w={}", window.as_secs()),
            format!("\"{name}\";r={};t={}", self.taken.remaining, whole_seconds(self.taken.free_after)),
        )
    }

    pub fn apply(&self, response: &mut Response) {
        let (policy, limit) = self.headers();
        let headers = response.headers_mut();
        for (name, value) in [(POLICY_HEADER, policy), (LIMIT_HEADER, limit)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.append(name, value);
            }
        }
    }

    /// The refusal, if the request is refused.
    fn refusal(&self) -> Option<Problem> {
        let wait = whole_seconds(self.taken.retry_after).max(1);
        let detail = format!("Too many requests: try again in {wait} seconds.");
        let retry_after = Some(Duration::from_secs(wait));
        (!self.taken.allowed).then(|| Problem { retry_after, ..Problem::new(Code::RateLimited, detail) })
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs_f64().ceil() as u64
}

/// Counts in the database, so that all processes count together.
#[derive(Clone)]
pub struct RateLimiter {
    pool: Pool,
    /// Whether requests without login and mails are limited.
    limits: RateLimits,
}

impl RateLimiter {
    pub fn new(pool: Pool, limits: RateLimits) -> Self {
        Self { pool, limits }
    }

    /// Counts a POST without login to this path by the client's network. Other requests are not counted.
    pub async fn by_address(
        &self,
        path: &str,
        ClientIp(ip): ClientIp,
    ) -> Result<Option<Told>, (Problem, Option<Told>)> {
        let limited = LIMITED.iter().find(|limited| limited.path == path);
        let Some(limited) = limited.filter(|_| self.limits == RateLimits::On) else { return Ok(None) };
        let told = self.count(&limited.by_ip, &network_of(ip)).await.map_err(|problem| (problem, None))?;
        match told.refusal() {
            Some(problem) => Err((problem, Some(told))),
            None => Ok(Some(told)),
        }
    }

    /// Counts a request about this account, whether or not the account exists.
    pub async fn by_account(&self, operation: &str, email: &str) -> Result<(), Problem> {
        let limited = LIMITED.iter().find(|limited| limited.operation == operation);
        let policy = match operation {
            "change_email" => Some(MAILS_TO_NEW_ADDRESS),
            _ => limited.and_then(|limited| limited.by_account),
        };
        match policy {
            Some(policy) if self.limits == RateLimits::On => self.admit(&policy, &account_key(email)).await,
            _ => Ok(()),
        }
    }

    /// Counts a guess at the password of `account`, which is an e-mail address or the id of the logged-in
    /// user. Call it before checking the guess, so that guesses sent at the same time do not get past the
    /// limit.
    pub async fn count_guess(&self, account: &str, from: Option<&ClientIp>) -> Result<Guess, Problem> {
        let account = account_key(account);
        let network = from.map(|ClientIp(ip)| network_of(*ip)).unwrap_or_default();
        let counted =
            [(PASSWORD_GUESSES_FROM_NETWORK, format!("{account} {network}")), (PASSWORD_GUESSES, account)];
        for (policy, who) in &counted {
            self.admit(policy, who).await?;
        }
        Ok(Guess(counted))
    }

    /// Gives back a guess that was right.
    pub async fn give_back_guess(&self, Guess(counted): Guess) -> Result<(), Problem> {
        let mut conn = self.pool.get().await?;
        for (policy, who) in &counted {
            rate_limit::give_back(&mut conn, policy, who).await?;
        }
        Ok(())
    }

    async fn admit(&self, policy: &Policy, who: &str) -> Result<(), Problem> {
        let told = self.count(policy, who).await?;
        match told.refusal() {
            Some(problem) => {
                let (policy, limit) = told.headers();
                let problem = problem.with("rate_limit_policy", &policy).with("rate_limit", &limit);
                Err(problem.header(POLICY_HEADER, policy).header(LIMIT_HEADER, limit))
            }
            None => Ok(()),
        }
    }

    async fn count(&self, policy: &Policy, who: &str) -> Result<Told, Problem> {
        let mut conn = self.pool.get().await?;
        Ok(Told { policy: *policy, taken: rate_limit::take(&mut conn, policy, who).await? })
    }
}

fn account_key(account: &str) -> String {
    let account = account.trim();
    let email = account.parse::<EmailAddress>();
    let account = email.map_or_else(|_| account.to_lowercase(), |email| email.to_string());
    Sha256::digest(account).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_post_without_login_is_limited_under_the_name_and_path_of_the_spec() {
        let spec: serde_json::Value = serde_json::from_str(&crate::routes::document().json()).unwrap();
        let mut in_spec = Vec::new();
        for (path, methods) in spec["paths"].as_object().unwrap() {
            let post = &methods["post"];
            let operation = post["operationId"].as_str().unwrap_or_default();
            let open = post.is_object() && post.get("security").is_none();
            if path.starts_with("/auth/") && open && operation != "refresh_session" {
                in_spec.push((operation.to_owned(), format!("/v1{path}")));
            }
        }
        let mut limited: Vec<_> =
            LIMITED.iter().map(|limited| (limited.operation.to_owned(), limited.path.to_owned())).collect();
        in_spec.sort();
        limited.sort();
        assert_eq!(limited, in_spec);
        assert!(LIMITED.iter().all(|limited| limited.by_account.is_some() || limited.operation == "login"));
    }
}
