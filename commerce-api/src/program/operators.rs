//! What only those who run the shop may read, at an address of its own.

use poem::{Endpoint, EndpointExt, Response, Route, get};

use crate::http::state::State;
use crate::program::telemetry;
use crate::resources::health;

/// `/healthz`, `/readyz` with all its findings, and `/metrics`. They tell how many orders there are, and when the shop
/// is close to its limits.
pub fn operators(state: State) -> impl Endpoint<Output = Response> {
    Route::new()
        .at("/healthz", get(health::alive))
        .at("/readyz", get(health::ready_in_detail))
        .at("/metrics", get(telemetry::metrics))
        .data(state)
        .map_to_response()
}
