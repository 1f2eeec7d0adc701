//! Metrics.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use poem::web::Data;
use poem::{Response, handler};

use crate::http::state::State;

/// Upper bounds of the buckets of request durations, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The metrics of the process. There is one recorder, even if several applications are made, as in tests.
fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let builder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
                .ok()?;
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            ::metrics::set_global_recorder(recorder).ok()?;
            Some(handle)
        })
        .as_ref()
}

/// Starts the metrics recorder.
pub fn count() {
    if let Some(handle) = recorder() {
        handle.run_upkeep();
    }
}

/// The metrics in Prometheus format.
#[handler]
pub fn metrics(Data(state): Data<&State>) -> Response {
    let status = state.pool.status();
    ::metrics::gauge!("commerce_database_connections_max").set(status.max_size as f64);
    ::metrics::gauge!("commerce_database_connections_open").set(status.size as f64);
    ::metrics::gauge!("commerce_database_connections_idle").set(status.available as f64);
    ::metrics::gauge!("commerce_database_connections_awaited").set(status.waiting as f64);
    let text = recorder().map(PrometheusHandle::render).unwrap_or_default();
    Response::builder().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}
