//! The whole application, put together.

use poem::web::Path;
use poem::{Endpoint, EndpointExt, IntoResponse, Response, Route, get, handler};
use poem_openapi::OpenApiService;

use crate::edge::Edge;
use crate::edge::settings::HttpSettings;
use crate::http::openapi;
use crate::http::problem::{Code, Problem};
use crate::http::route_table::BASE;
use crate::http::state::State;
use crate::program::{demo_images, telemetry};
use crate::resources::accounts::reset_page;
use crate::resources::catalog::media;
use crate::resources::health;
use crate::resources::orders::order_page;
use crate::resources::payments::return_page;
use crate::routes;

/// The application, as used by the server and by the tests.
pub fn app(state: State, settings: &HttpSettings) -> impl Endpoint<Output = Response> + use<> {
    telemetry::count();
    let api = OpenApiService::new(routes::surface(&state), "", "");
    let document = routes::document();
    let docs = openapi::swagger_ui(document);
    let (yaml, json) = (document.yaml(), document.json());
    let jwks = state.tokens.jwks().to_string();
    let handlers = Route::new()
        .nest(BASE, api)
        .at("/docs", get(fixed("text/html; charset=utf-8", docs.clone())))
        .at("/docs/", get(fixed("text/html; charset=utf-8", docs)))
        .at("/openapi.yaml", get(fixed("application/yaml", yaml)))
        .at("/openapi.json", get(fixed("application/json", json)))
        .at("/.well-known/jwks.json", get(fixed("application/json", jwks)))
        .at("/problems/:code", get(explain_problem))
        .at("/demo-images/:name", get(demo_images::draw))
        .at("/media/:name", get(media::serve))
        .at("/reset-password", get(reset_page::show))
        .at("/order", get(order_page::show))
        .at("/payment-return", get(return_page::show_paid))
        .at("/payment-return/cancelled", get(return_page::show_cancelled))
        .at("/healthz", get(health::alive))
        .at("/readyz", get(health::ready));
    let limits = state.limits.clone();
    Edge::new(handlers.data(state), routes::table(), settings).limiting(limits)
}

/// The same text for everybody.
fn fixed(content_type: &'static str, text: String) -> impl Endpoint {
    poem::endpoint::make_sync(move |_| Response::builder().content_type(content_type).body(text.clone()))
}

/// The page that the `type` of a problem refers to.
#[handler]
fn explain_problem(Path(code): Path<String>) -> Response {
    match Code::ALL.iter().find(|known| known.as_str() == code) {
        Some(code) => {
            let status = code.status();
            let text =
                format!("{} ({status})\n\n{}\n\n{}\n", code.as_str(), code.title(), code.meaning().trim());
            text.into_response()
        }
        None => Problem::not_found("problem code").into_response(),
    }
}
