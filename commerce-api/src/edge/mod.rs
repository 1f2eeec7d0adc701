//! What happens to every request before and after its handler: request id, time limit, problem documents,
//! caching and security headers, one log line and metrics.

mod address;
pub mod client_address;
mod compression;
mod conditional;
pub mod cors;
mod framework_errors;
mod headers;
mod link;
mod logged_path;
mod panic;
pub mod same_origin;
pub mod settings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use poem::http::{HeaderValue, Method};
use poem::{Endpoint, IntoResponse, Request, Response, Result};
use poem_openapi::OperationId;

use self::client_address::TrustedProxies;
use self::cors::AllowedOrigins;
use self::logged_path::logged_path;
use self::same_origin::TrustedPages;
use self::settings::HttpSettings;
use crate::http::attribution::Attribution;
use crate::http::call::{OriginalPath, RequestId};
use crate::http::client_ip::{ClientIp, network_of};
use crate::http::problem::Problem;
use crate::http::rate_limit::{RateLimiter, Told};
use crate::http::route_table::RouteTable;

/// The time after which a request is answered with 503. What it has begun in the database still runs to its
/// end.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The import of a whole catalogue needs longer.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The outermost endpoint: wraps the whole application.
pub struct Edge<E> {
    inner: E,
    routes: Arc<RouteTable>,
    origins: AllowedOrigins,
    pages: TrustedPages,
    proxies: TrustedProxies,
    /// Counts requests, if they are limited.
    limits: Option<RateLimiter>,
}

impl<E> Edge<E> {
    /// `routes` are those of `inner`.
    pub fn new(inner: E, routes: impl Into<Arc<RouteTable>>, settings: &HttpSettings) -> Self {
        Self {
            inner,
            routes: routes.into(),
            origins: settings.cors_origins.clone(),
            pages: TrustedPages::of(settings),
            proxies: settings.trusted_proxies.clone(),
            limits: None,
        }
    }

    /// Limits how often an address may send requests.
    pub fn limiting(self, limits: RateLimiter) -> Self {
        Self { limits: Some(limits), ..self }
    }
}

/// What is known about a request before it is passed on.
struct Asked {
    id: RequestId,
    method: Method,
    path: String,
    query: Option<String>,
    trace_id: Option<String>,
    started: Instant,
}

impl<E: Endpoint> Endpoint for Edge<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let asked = Asked::of(&request);
        request.set_data(asked.id.clone());
        request.set_data(OriginalPath(asked.path.clone()));
        request.set_data(Arc::clone(&self.routes));
        request.set_data(self.pages.page_of(&request));
        let attribution = Attribution::default();
        request.set_data(attribution.clone());
        let client = self.proxies.client_of(&request);
        if let Some(client) = client {
            request.set_data(client);
        }
        let takes_gzip = compression::takes_gzip(request.headers());
        let conditions = conditional::Conditions::of(&request);
        let origin = self.origins.check(&request);

        let mut told = None;
        let fault = address::fault(&self.routes, &asked.path, asked.query.as_deref())
            .or_else(|| compression::fault(&request));
        let mut response = match (origin.preflight(), fault) {
            (Some(response), _) => response,
            (None, Some(problem)) => problem.into_response(),
            (None, None) => match self.limit(&request).await {
                Ok(limit) => {
                    told = limit;
                    self.answer(request, &asked.path).await
                }
                Err((problem, limit)) => {
                    told = limit;
                    problem.into_response()
                }
            },
        };

        let refusal = response.data::<Problem>().map(|problem| problem.code.as_str());
        complete_problem(&mut response, &asked);
        if let Some(told) = told {
            told.apply(&mut response);
        }
        link::add_next(&mut response, &asked.path, asked.query.as_deref());
        compression::apply(&mut response, takes_gzip);
        conditions.apply(&mut response);
        origin.apply(&mut response);
        headers::add(&mut response, &asked.path);
        if let Ok(id) = HeaderValue::from_str(&asked.id.0) {
            response.headers_mut().insert(RequestId::HEADER, id);
        }
        asked.report(&response, client, &attribution, refusal);
        Ok(response)
    }
}

impl<E: Endpoint> Edge<E> {
    async fn limit(&self, request: &Request) -> Result<Option<Told>, (Problem, Option<Told>)> {
        match (&self.limits, request.data::<ClientIp>()) {
            (Some(limits), Some(client)) => {
                limits.by_network(request.method(), request.uri().path(), *client).await
            }
            _ => Ok(None),
        }
    }

    /// The handler's answer, or the problem for its error, its panic or its timeout.
    async fn answer(&self, request: Request, path: &str) -> Response {
        let method = request.method().clone();
        let handled = panic::catch(self.inner.call(request));
        let limit = if path.ends_with("/admin/products/import") { IMPORT_TIMEOUT } else { REQUEST_TIMEOUT };
        match tokio::time::timeout(limit, handled).await {
            Ok(Ok(Ok(output))) => output.into_response(),
            Ok(Ok(Err(error))) => framework_errors::respond(error, &self.routes, &method, path),
            Ok(Err(panic)) => Problem::internal(panic).into_response(),
            Err(_) => {
                let path = logged_path(path);
                Problem::unavailable(format_args!("{method} {path} took too long")).into_response()
            }
        }
    }
}

/// Writes the path and the request id into a problem document.
fn complete_problem(response: &mut Response, asked: &Asked) {
    let Some(problem) = response.data::<Problem>().cloned() else { return };
    let operation = response.data::<OperationId>().copied();
    *response = problem.render(&asked.path, &asked.id.0);
    if let Some(operation) = operation {
        response.set_data(operation);
    }
}

impl Asked {
    fn of(request: &Request) -> Self {
        let uri = request.uri();
        // traceparent: version-traceid-parentid-flags (W3C Trace Context).
        let trace_id = request
            .header("traceparent")
            .and_then(|parent| parent.split('-').nth(1))
            .filter(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        Self {
            id: RequestId::of(request),
            method: request.method().clone(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            trace_id: trace_id.map(str::to_owned),
            started: Instant::now(),
        }
    }

    /// One log line and the counters of a request that was answered.
    fn report(
        &self,
        response: &Response,
        client: Option<ClientIp>,
        attribution: &Attribution,
        refusal: Option<&str>,
    ) {
        let elapsed = self.started.elapsed();
        let status = response.status().as_u16();
        let operation = response.data::<OperationId>().map_or("other", |operation| operation.0);
        let labels = [
            ("operation", operation.to_owned()),
            ("method", self.known_method()),
            ("status", status.to_string()),
        ];
        metrics::counter!("commerce_http_requests_total", &labels).increment(1);
        metrics::histogram!("commerce_http_request_seconds", "operation" => operation)
            .record(elapsed.as_secs_f64());
        tracing::info!(
            request_id = %self.id.0,
            trace_id = self.trace_id.as_deref(),
            method = %self.method,
            path = %logged_path(&self.path),
            operation,
            status,
            refusal,
            client = client.map(|ClientIp(ip)| network_of(ip)),
            account = attribution.account().map(tracing::field::display),
            milliseconds = elapsed.as_millis(),
            "request"
        );
    }

    /// Clients can invent methods, but the number of labels must stay small.
    fn known_method(&self) -> String {
        match self.method {
            Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
                self.method.to_string()
            }
            _ => "other".to_owned(),
        }
    }
}
