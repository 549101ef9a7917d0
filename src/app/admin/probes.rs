//! The probes: `/live`, `/ready` and `/metrics`, open to whoever reaches the admin port, and the recorder behind them.

use std::sync::OnceLock;

use http::StatusCode;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use crate::{
    dialects::door,
    error::{Error, Result},
    feed::{Mode, Status},
    lifecycle::Lifecycle,
    metrics::{BUILD_INFO, MAILBOX_ITEMS, READY, TASKS, describe},
};

/// Seconds; the budget is 0.6 ms at the median and 3 ms at the 99th percentile.
const BUCKETS: [f64; 13] =
    [0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Items; a mailbox holds 1,024 unless told otherwise.
const FILLS: [f64; 7] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0];

/// One recorder for the process, however many bridges run in it.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Begins to record; what is measured before is lost.
pub(in crate::app) fn record() -> Result<PrometheusHandle> {
    RECORDER
        .get_or_init(|| install().inspect_err(|error| error.log("installing metrics")).ok())
        .clone()
        .ok_or_else(|| Error::internal("another metrics recorder is installed"))
}

pub(super) fn routes(
    recorder: PrometheusHandle,
    status: Status,
    lifecycle: Lifecycle,
) -> BoxedFilter<(Response,)> {
    let upkeep = recorder.clone();
    lifecycle.service("metrics", async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    let live = warp::path!("live").map(|| door::json(StatusCode::OK, r#"{"status":"live"}"#));
    let (seen, alive) = (status.clone(), lifecycle.clone());
    let ready = warp::path!("ready").map(move || ready(&status, &lifecycle));
    let metrics = warp::path!("metrics").map(move || {
        let ready = verdict(&seen, &alive).is_ok();
        metrics::gauge!(READY).set(f64::from(u8::from(ready)));
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        metrics::gauge!(TASKS).set(tasks as f64);
        Response::new(recorder.render().into())
    });
    warp::get().and(live.or(ready).unify().or(metrics).unify()).boxed()
}

fn install() -> Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Full(MAILBOX_ITEMS.to_owned()), &FILLS)
        })
        .map_err(Error::internal)?;
    let handle = builder.install_recorder().map_err(Error::internal)?;
    describe();
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Ready means that changes are being delivered now.
fn ready(status: &Status, lifecycle: &Lifecycle) -> Response {
    match verdict(status, lifecycle) {
        Ok(mode) => {
            let mode = match mode {
                Mode::Notify => "notify",
                Mode::Poll => "poll",
            };
            door::json(StatusCode::OK, json!({ "status": "ready", "mode": mode }).to_string())
        }
        Err(reason) => {
            let body = json!({ "status": "not_ready", "reason": reason }).to_string();
            door::json(StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }
}

fn verdict(status: &Status, lifecycle: &Lifecycle) -> std::result::Result<Mode, &'static str> {
    if lifecycle.is_draining() { Err("the server is going away") } else { status.ready() }
}
