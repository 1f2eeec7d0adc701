//! Rate limits: by address for every operation that needs no login, and by account.
//!
//! `COMMERCE_RATE_LIMITS=off` switches off the limits by address and the limits of mails to an account.
//! Guesses at passwords are always limited, and so are guesses at codes (see
//! `commerce_core::accounts::one_time_code`).

use std::time::Duration;

use clap::ValueEnum;
use commerce_core::accounts;
use commerce_core::db::Pool;
use commerce_core::email_address::EmailAddress;
use commerce_core::ids::UserId;
use commerce_core::rate_limit::{self, Policy, Taken};
use data_encoding::HEXLOWER;
use poem::Response;
use poem::http::{HeaderName, HeaderValue, Method};
use sha2::{Digest, Sha256};

use crate::http::client_ip::{ClientIp, network_of, networks_of};
use crate::http::problem::{Code, Problem};
use crate::http::read_limit::{self, ReadLimiter};

/// Whether requests by address and mails are limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RateLimits {
    On,
    Off,
}

/// A write that needs no login. It has a limit for each network, and perhaps one for each account that it is
/// about.
#[derive(Debug, Clone, Copy)]
struct Limited {
    operation: &'static str,
    method: &'static str,
    /// As in the spec, below `/v1`.
    path: &'static str,
    by_network: Policy,
    /// `None` where there is no account. [`RateLimiter::count_guess`] counts guesses at passwords.
    by_account: Option<Policy>,
}

/// The limit is a name, so many requests, and minutes.
const fn post(
    operation: &'static str,
    path: &'static str,
    (name, quota, minutes): (&'static str, u32, u64),
) -> Limited {
    let by_network = Policy::new(name, quota, minutes);
    Limited { operation, method: "POST", path, by_network, by_account: None }
}

impl Limited {
    const fn for_account(self, name: &'static str, quota: u32, minutes: u64) -> Self {
        Self { by_account: Some(Policy::new(name, quota, minutes)), ..self }
    }

    fn is(&self, method: &Method, path: &str) -> bool {
        let is_segment =
            |(own, asked): (&str, &str)| own == asked || own.starts_with('{') && !asked.is_empty();
        let asked = path.strip_prefix("/v1").map(|path| path.split('/'));
        method == self.method
            && asked.is_some_and(|asked| {
                self.path.split('/').count() == asked.clone().count()
                    && self.path.split('/').zip(asked).all(is_segment)
            })
    }
}

static LIMITED: [Limited; 20] = [
    post("register", "/auth/register", ("register-ip", 20, 10)).for_account("register-account", 6, 60),
    post("verify_email", "/auth/verify-email", ("verify-ip", 30, 5)).for_account("verify-account", 60, 60),
    post("resend_code", "/auth/resend-code", ("resend-ip", 20, 10)).for_account("resend-account", 10, 60),
    post("login", "/auth/login", ("login-ip", 60, 5)),
    post("refresh_session", "/auth/refresh", ("refresh-ip", 300, 5)),
    post("forgot_password", "/auth/password/forgot", ("forgot-ip", 20, 10)).for_account(
        "forgot-account",
        10,
        60,
    ),
    post("reset_password", "/auth/password/reset", ("reset-ip", 30, 5)).for_account("reset-account", 60, 60),
    // A checkout sends a mail and holds stock.
    post("checkout", "/orders/checkout", ("checkout-ip", 30, 10)),
    post("cancel_order", "/orders/{id}/cancel", ("cancel-ip", 30, 10)),
    // A mail goes to whoever is named.
    post("look_up_order", "/orders/lookup", ("lookup-ip", 20, 10)).for_account("lookup-account", 10, 60),
    post("declare_withdrawal", "/withdrawals", ("withdrawal-ip", 20, 60)).for_account(
        "withdrawal-account",
        20,
        24 * 60,
    ),
    post("confirm_withdrawal", "/withdrawals/{id}/confirm", ("confirm-withdrawal-ip", 20, 60)),
    post("request_return", "/orders/{id}/returns", ("return-ip", 30, 10)),
    // A payment calls the server of somebody else.
    post("pay_order", "/orders/{id}/pay", ("pay-ip", 30, 10)),
    post("confirm_payment", "/payments/{id}/confirm", ("confirm-ip", 60, 10)),
    // A message is mailed to the shop.
    post("send_contact_message", "/contact-messages", ("contact-ip", 10, 60)),
    post("quote_cart", "/cart/quote", CART),
    post("add_cart_item", "/cart/items", CART),
    Limited { method: "PUT", ..post("replace_cart", "/cart", CART) },
    Limited { method: "PATCH", ..post("set_cart_item_quantity", "/cart/items/{variant_id}", CART) },
];

/// Writes to carts are counted together.
const CART: (&str, u32, u64) = ("cart-ip", 300, 10);

/// A logged-in user can request mails to an address that is not their own. Such an address counts as an
/// account, whether or not it has one.
const MAILS_TO_NEW_ADDRESS: Policy = Policy::new("change-email-account", 10, 60);

/// Wrong passwords for one account from one network: ten at once, then one in ninety seconds. The account
/// need not exist.
const PASSWORD_GUESSES_FROM_NETWORK: Policy = Policy::new("login-account", 10, 15);
/// Wrong passwords for one account from all networks: a hundred, the most that NIST SP 800-63B (5.2.2)
/// allows. A network from which the owner has logged in is not bound by it, so that strangers elsewhere do not
/// lock the owner out.
const PASSWORD_GUESSES: Policy = Policy::new("login-account-anywhere", 100, 15);

/// Wrong codes of the authenticator app of one account, wherever they come from: twenty at once, then one in 72
/// minutes. At this rate, somebody who has the password finds a code within a year with a chance of two in a hundred.
/// Nobody else can make guesses, so strangers cannot use them up.
const CODE_GUESSES: Policy = Policy::new("second-factor", 20, 24 * 60);

/// Operations that ask a logged-in user for the password again, or for a code of the app. Guesses are counted too.
const ASKS_FOR_PROOF: [&str; 6] = [
    "change_password",
    "change_email",
    "delete_me",
    "begin_second_factor",
    "confirm_second_factor",
    "remove_second_factor",
];

/// Whether the operation can answer 429. The spec needs to know.
pub fn limits(operation: &str) -> bool {
    LIMITED.iter().any(|limited| limited.operation == operation)
        || ASKS_FOR_PROOF.contains(&operation)
        || read_limit::limits(operation)
}

/// A guess at a password or a code that was counted. If it was right, it is given back.
#[derive(Debug)]
#[must_use]
pub struct Guess(Vec<(Policy, String)>);

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

    /// The refusal as an error. Its headers travel with it.
    fn admitted(&self) -> Result<(), Problem> {
        match self.refusal() {
            Some(problem) => {
                let (policy, limit) = self.headers();
                let problem = problem.with("rate_limit_policy", &policy).with("rate_limit", &limit);
                Err(problem.header(POLICY_HEADER, policy).header(LIMIT_HEADER, limit))
            }
            None => Ok(()),
        }
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs_f64().ceil() as u64
}

/// Counts in the database, so that all processes count together.
#[derive(Clone)]
pub struct RateLimiter {
    pool: Pool,
    /// Units that a network may order in an hour.
    units_per_hour: u32,
    /// Whether requests without login and mails are limited.
    limits: RateLimits,
    reads: ReadLimiter,
}

impl RateLimiter {
    /// A network may order `units_per_hour`.
    pub fn new(pool: Pool, limits: RateLimits, units_per_hour: u32) -> Self {
        Self { pool, units_per_hour, limits, reads: ReadLimiter::default() }
    }

    /// Counts a write without login, a search or a list by the networks of its client. Other requests are not counted.
    /// The headers tell of the network that may write least.
    pub async fn by_network(
        &self,
        method: &Method,
        path: &str,
        ClientIp(ip): ClientIp,
    ) -> Result<Option<Told>, (Problem, Option<Told>)> {
        if self.limits == RateLimits::Off {
            return Ok(None);
        }
        self.reads.admit(method, path, ClientIp(ip)).map_err(|problem| (problem, None))?;
        let limited = LIMITED.iter().find(|limited| limited.is(method, path));
        let Some(limited) = limited else { return Ok(None) };
        let mut scarcest: Option<Told> = None;
        for (network, clients) in networks_of(ip) {
            let policy = limited.by_network.times(clients);
            let told = self.count(&policy, &network, 1).await.map_err(|problem| (problem, None))?;
            if let Some(problem) = told.refusal() {
                return Err((problem, Some(told)));
            }
            if scarcest.is_none_or(|scarcest| told.taken.remaining < scarcest.taken.remaining) {
                scarcest = Some(told);
            }
        }
        Ok(scarcest)
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
    pub async fn count_guess(&self, account: &str, from: Option<ClientIp>) -> Result<Guess, Problem> {
        let key = account_key(account);
        let mut counted = guesses_from(from, &key);
        for (policy, who) in &counted {
            self.admit(policy, who).await?;
        }
        match self.admit(&PASSWORD_GUESSES, &key).await {
            Ok(()) => counted.push((PASSWORD_GUESSES, key)),
            Err(_) if self.is_known(account, from).await? => {}
            Err(refusal) => return Err(refusal),
        }
        Ok(Guess(counted))
    }

    /// Whether the owner of the account has logged in from this network.
    async fn is_known(&self, account: &str, from: Option<ClientIp>) -> Result<bool, Problem> {
        let (Ok(email), Some(ClientIp(ip))) = (EmailAddress::of_account(account), from) else {
            return Ok(false);
        };
        let mut conn = self.pool.get().await?;
        Ok(accounts::knows_network(&mut conn, &email, &network_of(ip)).await?)
    }

    /// Forgets guesses at the password of `account`: its owner has just set a new one.
    pub async fn forget_guesses(&self, account: &str, from: Option<ClientIp>) -> Result<(), Problem> {
        let key = account_key(account);
        let mut conn = self.pool.get().await?;
        rate_limit::forget(&mut conn, &PASSWORD_GUESSES, &key).await?;
        for (policy, who) in guesses_from(from, &key) {
            rate_limit::forget(&mut conn, &policy, &who).await?;
        }
        Ok(())
    }

    /// Counts a guess at a code of the user's authenticator app. Call it before checking the guess.
    pub async fn count_code_guess(&self, user_id: UserId) -> Result<Guess, Problem> {
        let key = account_key(&user_id.to_string());
        self.admit(&CODE_GUESSES, &key).await?;
        Ok(Guess(vec![(CODE_GUESSES, key)]))
    }

    /// Gives back a guess that was right.
    pub async fn give_back_guess(&self, Guess(counted): Guess) -> Result<(), Problem> {
        let mut conn = self.pool.get().await?;
        for (policy, who) in &counted {
            rate_limit::give_back(&mut conn, policy, who).await?;
        }
        Ok(())
    }

    /// The networks by which this client is counted, each with the number of clients for which it counts. None if
    /// clients are not counted.
    pub fn networks(&self, from: Option<&ClientIp>) -> Vec<(String, u32)> {
        let from = from.filter(|_| self.limits == RateLimits::On);
        from.map(|ClientIp(ip)| networks_of(*ip)).unwrap_or_default()
    }

    /// Counts the units that an order wants, by the networks of its client. A network that may order a
    /// thousand units an hour cannot keep more than that from other shoppers, whatever it does with its orders.
    pub async fn count_units(&self, units: i64, networks: &[(String, u32)]) -> Result<(), Problem> {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        for (network, clients) in networks.iter().filter(|_| units > 0) {
            let policy =
                Policy { name: "units-ip", quota: self.units_per_hour, window: HOUR }.times(*clients);
            if units > policy.quota {
                let detail = format!("One order may have {} units; this one has {units}.", policy.quota);
                return Err(Problem::new(Code::RateLimited, detail));
            }
            self.count(&policy, network, units).await?.admitted()?;
        }
        Ok(())
    }

    async fn admit(&self, policy: &Policy, who: &str) -> Result<(), Problem> {
        self.count(policy, who, 1).await?.admitted()
    }

    async fn count(&self, policy: &Policy, who: &str, requests: u32) -> Result<Told, Problem> {
        let conn = self.pool.get().await?;
        let taken = rate_limit::take_many(&conn, policy, who, requests).await?;
        Ok(Told { policy: *policy, taken })
    }
}

/// By what guesses at the password of this account are counted in the networks of a client. A logged-in user who is asked
/// again is one network, wherever the requests come from.
fn guesses_from(client: Option<ClientIp>, account_key: &str) -> Vec<(Policy, String)> {
    let networks = client.map_or_else(|| vec![(String::new(), 1)], |ClientIp(ip)| networks_of(ip));
    let guesses = |(network, clients)| {
        (PASSWORD_GUESSES_FROM_NETWORK.times(clients), format!("{account_key} {network}"))
    };
    networks.into_iter().map(guesses).collect()
}

/// A digest, so that no address is stored in readable form. All spellings of an address give the same key.
fn account_key(account: &str) -> String {
    let account = account.trim();
    let email = EmailAddress::of_account(account);
    let account = email.map_or_else(|_| account.to_lowercase(), |email| email.to_string());
    HEXLOWER.encode(&Sha256::digest(account))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_write_without_login_is_limited_under_the_name_and_path_of_the_spec() {
        let spec: serde_json::Value = serde_json::from_str(&crate::routes::document().json()).unwrap();
        let mut open = Vec::new();
        for (path, methods) in spec["paths"].as_object().unwrap() {
            for method in ["post", "put", "patch"] {
                let operation = &methods[method];
                let Some(security) = operation.is_object().then(|| operation["security"].as_array()) else {
                    continue;
                };
                // A guest's token is made by whoever wants one.
                let schemes = security.into_iter().flatten().flat_map(|one| one.as_object().unwrap().keys());
                let schemes: Vec<&String> = schemes.collect();
                // A webhook is signed by its provider, and must never be lost.
                if operation["operationId"] == "receive_webhook" {
                    continue;
                }
                if schemes.is_empty() || schemes.iter().any(|scheme| *scheme == "cart_token") {
                    open.push((
                        operation["operationId"].as_str().unwrap(),
                        method.to_uppercase(),
                        path.as_str(),
                    ));
                }
            }
        }
        let mut limited: Vec<_> = LIMITED
            .iter()
            .map(|limited| (limited.operation, limited.method.to_owned(), limited.path))
            .collect();
        open.sort();
        limited.sort();
        assert_eq!(limited, open);
        let of_accounts = |limited: &&Limited| {
            limited.path.starts_with("/auth/") && !["login", "refresh_session"].contains(&limited.operation)
        };
        assert!(LIMITED.iter().filter(of_accounts).all(|limited| limited.by_account.is_some()));
    }

    #[test]
    fn a_path_is_the_one_of_the_spec_and_no_other() {
        let operation = |method: Method, path: &str| {
            LIMITED.iter().find(|limited| limited.is(&method, path)).map(|limited| limited.operation)
        };
        assert_eq!(
            operation(Method::POST, "/v1/orders/01900000-0000-7000-8000-000000000000/pay"),
            Some("pay_order")
        );
        assert_eq!(operation(Method::POST, "/v1/orders/checkout"), Some("checkout"));
        assert_eq!(operation(Method::PUT, "/v1/cart"), Some("replace_cart"));
        for other in ["/v1/orders//pay", "/v1/orders/1/pay/more", "/orders/checkout", "/v1", "/v1/cart", ""] {
            assert_eq!(operation(Method::POST, other), None, "{other}");
        }
    }
}
