//! Sends requests that are wrong in one place, and judges the answers.

use image::ImageFormat;
use poem::http::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::images::{encoded, picture};
use crate::shop::{Ask, Got, TestShop, ask};
use crate::surface::{Operation, Parameter, Surface};
use crate::world::{Credential, World, fingerprint};

/// The answers that refuse a request as a guess at a secret, and count the guess.
const COUNTED_GUESSES: [&str; 6] = [
    "invalid_code",
    "invalid_credentials",
    "invalid_refresh_token",
    "email_not_verified",
    "rate_limited",
    "wrong_password",
];

/// What must come of a request.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    /// Refused with one of these statuses; the place, if there is one, is among those that `errors` names.
    Refused(&'static [u16], Option<String>),
    /// Refused or not: no schema says. If as invalid, the place is named.
    Anything(Option<String>),
}

pub(super) struct Attack {
    pub(super) what: String,
    pub(super) ask: Ask,
    pub(super) expected: Expected,
}

/// Sends attacks at one operation after the other and gathers what is wrong with the answers.
pub(super) struct Walk {
    pub(super) shop: TestShop,
    pub(super) surface: Surface,
    faults: Vec<String>,
    sent: usize,
}

impl Walk {
    pub(super) async fn new() -> Self {
        Self { shop: TestShop::new().await, surface: Surface::read(), faults: Vec::new(), sent: 0 }
    }

    pub(super) async fn send(&mut self, operation: &Operation, attacks: Vec<Attack>) {
        // What is surely refused is looked at together, the rest one by one: it may be taken, and change something.
        let is_refused = |attack: &Attack| matches!(attack.expected, Expected::Refused(..));
        let (refused, others): (Vec<_>, Vec<_>) = attacks.into_iter().partition(is_refused);
        let mut before = fingerprint(&self.shop).await;
        for attack in refused {
            self.attack(operation, attack).await;
        }
        before = self.unchanged(operation, "what is refused", before).await;
        for attack in others {
            let what = attack.what.clone();
            let got = self.attack(operation, attack).await;
            if operation.method == Method::GET {
                continue;
            }
            let guess = got.status.is_client_error()
                && COUNTED_GUESSES.contains(&got.json()["code"].as_str().unwrap_or_default());
            if got.status.is_client_error() && !guess {
                before = self.unchanged(operation, &what, before).await;
            } else {
                before = fingerprint(&self.shop).await;
            }
        }
    }

    async fn attack(&mut self, operation: &Operation, attack: Attack) -> Got {
        let Attack { what, ask, expected } = attack;
        let got = self.shop.send(ask).await;
        self.sent += 1;
        let mut faults = self.surface.faults_of(operation, &got);
        faults.extend(unexpected(&got, &expected));
        let id = &operation.id;
        self.faults.extend(faults.into_iter().map(|fault| format!("{id}, {what}: {fault}")));
        got
    }

    /// Compares all tables with what they were, and returns what they are.
    async fn unchanged(
        &mut self,
        operation: &Operation,
        what: &str,
        before: Vec<(String, String)>,
    ) -> Vec<(String, String)> {
        let after = fingerprint(&self.shop).await;
        let changed: Vec<_> =
            after.iter().filter(|table| !before.contains(table)).map(|(name, _)| name).collect();
        if !changed.is_empty() {
            self.faults.push(format!("{}, {what}: was refused and changed {changed:?}", operation.id));
        }
        after
    }

    pub(super) async fn finish(self) {
        assert!(self.sent > 100, "the walk sent only {} requests", self.sent);
        let count = self.faults.len();
        assert!(self.faults.is_empty(), "{count} faults in {} answers: {:#?}", self.sent, self.faults);
        // The walk is about what is refused; what some of it may have bought is checked as ever.
        self.shop.database.finish().await;
    }
}

fn unexpected(got: &Got, expected: &Expected) -> Option<String> {
    let status = got.status.as_u16();
    let place = match expected {
        Expected::Refused(statuses, _) if !statuses.contains(&status) => {
            return Some(format!("answered {status} instead of {statuses:?}: {}", shortened(&got.text)));
        }
        Expected::Refused(_, place) => place.as_ref()?,
        Expected::Anything(place) => place.as_ref()?,
    };
    let document: Value = serde_json::from_str(&got.text).unwrap_or_default();
    if !["validation_failed", "invalid_parameter"].contains(&document["code"].as_str()?) {
        return None;
    }
    let errors = document["errors"].as_array().cloned().unwrap_or_default();
    let named = |error: &Value| {
        let name = error["pointer"].as_str().or(error["parameter"].as_str());
        name.is_some_and(|name| {
            name == place || (!place.is_empty() && name.starts_with(&format!("{place}/")))
        })
    };
    let nowhere = || format!("does not point at {place:?}: {}", shortened(&got.text));
    (!errors.iter().any(named)).then(nowhere)
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(400).collect()
}

/// A request to an operation as it should be, but for what is changed.
#[derive(Clone)]
pub(super) struct Draft<'a> {
    pub(super) world: &'a World,
    pub(super) operation: &'a Operation,
    pub(super) credential: Option<&'a Credential>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(world: &'a World, operation: &'a Operation) -> Self {
        Self { world, operation, credential: world.caller_of(operation) }
    }

    pub(super) fn at(&self, path: &str) -> Ask {
        let ask = ask(self.operation.method.clone(), path);
        match self.credential {
            Some((name, value)) => ask.header(name, value),
            None => ask,
        }
    }

    /// With path, credential and key, without a query and a body.
    pub(super) fn bare(&self) -> Ask {
        self.keyed(self.at(&self.path()))
    }

    pub(super) fn keyed(&self, ask: Ask) -> Ask {
        if !self.operation.has_parameter("Idempotency-Key") {
            return ask;
        }
        ask.header("Idempotency-Key", &Uuid::now_v7().to_string())
    }

    /// With the parameters that must be there.
    pub(super) fn path(&self) -> String {
        let path = self.world.path(&self.operation.path, self.credential, None);
        let required: Vec<String> = self
            .operation
            .parameters_in("query")
            .filter(|parameter| parameter.required)
            .map(|parameter| format!("{}={}", parameter.name, self.query_value(parameter)))
            .collect();
        if required.is_empty() { path } else { format!("{path}?{}", required.join("&")) }
    }

    pub(super) fn query_value(&self, parameter: &Parameter) -> String {
        match parameter.name.as_str() {
            "order_id" => self.world.path_value("orders", self.credential),
            _ => "1".to_owned(),
        }
    }

    /// With the body of the spec's example, or a form as it should be.
    pub(super) fn with_body(&self, ask: Ask) -> Ask {
        match &self.operation.body {
            Some(body) if body.is_json() => ask.json(&self.body()),
            Some(body) if body.content_type == "multipart/form-data" => {
                ask.form("x", &[("file", Some("a.png"), &encoded(&picture(1, 1), ImageFormat::Png))])
            }
            _ => ask,
        }
    }

    /// The body of the spec's example.
    pub(super) fn body(&self) -> Value {
        self.operation.body.as_ref().map(|body| self.world.body(&body.example)).unwrap_or_default()
    }

    /// The same, with this query.
    pub(super) fn bare_at(&self, query: &str) -> Ask {
        self.at(&format!("{}{query}", self.world.path(&self.operation.path, self.credential, None)))
    }
}

pub(super) const MALFORMED: Expected = Expected::Refused(&[400], None);
