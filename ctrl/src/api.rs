//! The admin API: HTTP and JSON on a unix socket, and metrics for Prometheus on a TCP address.
//! Handlers hold nothing: each asks the loop and waits for its answer.

use std::convert::Infallible;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::{Query as Parameters, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use dataplane::addr::Addr;
use futures_util::stream::poll_fn;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};

use crate::api_types::{Address, VipOrder};
use crate::capture::{Refused, Request};
use crate::desired::Gateway;
use crate::run::orders::Order;
use crate::run::queries::Query;
use crate::trace::Question;

/// Mode of the socket: its owner and group may ask.
const SOCKET_MODE: u32 = 0o660;
/// Connections in one answer: beyond that it would weigh more than the gateway itself.
const FLOWS_MAX: usize = 100_000;
/// As IANA knows it.
const CAPTURE_TYPE: &str = "application/vnd.tcpdump.pcap";
/// What a Prometheus server expects of OpenMetrics.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The listeners. Their tasks end with the runtime.
#[derive(Debug)]
pub struct Server {
    socket: PathBuf,
}

type Asker = mpsc::Sender<Query>;

impl Server {
    /// Listens, and answers once the loop runs.
    ///
    /// # Errors
    /// When the socket is in use by a living gateway, or an address cannot be bound.
    pub async fn bind(gateway: &Gateway, ask: Asker) -> Result<Self> {
        let socket = gateway.api.clone();
        let listener = listen(&socket)
            .with_context(|| format!("listen on the admin socket {}", socket.display()))?;
        tokio::spawn(axum::serve(listener, admin(ask.clone())).into_future());
        if let Some(address) = gateway.metrics {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("listen on {address} for metrics"))?;
            let metrics = Router::new().route("/metrics", get(metrics)).with_state(ask);
            tokio::spawn(axum::serve(listener, metrics).into_future());
        }
        Ok(Self { socket })
    }

    /// Removes the socket's file, so that nobody waits for a gateway that is gone.
    pub fn remove_socket(&self) {
        if let Err(error) = std::fs::remove_file(&self.socket) {
            tracing::debug!("cannot remove {}: {error}", self.socket.display());
        }
    }
}

fn listen(socket: &Path) -> Result<UnixListener> {
    if let Some(parent) = socket.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if UnixStream::connect(socket).is_ok() {
        bail!("another gateway answers there");
    }
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}

fn admin(ask: Asker) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/services", get(services))
        .route("/v1/pools", get(pools))
        .route("/v1/flows", get(flows))
        .route("/v1/drain", post(drain))
        .route("/v1/undrain", post(undrain))
        .route("/v1/flows/count", get(count_flows))
        .route("/v1/vip/hold", post(hold))
        .route("/v1/vip/release", post(release))
        .route("/v1/trace", get(trace))
        .route("/v1/capture", get(capture).delete(end_capture))
        .route("/metrics", get(metrics))
        .with_state(ask)
}

async fn drain(State(ask): State<Asker>, Json(what): Json<Address>) -> Response {
    order(ask, |reply| Order::Drain(what, reply)).await
}

async fn undrain(State(ask): State<Asker>, Json(what): Json<Address>) -> Response {
    order(ask, |reply| Order::Undrain(what, reply)).await
}

async fn count_flows(State(ask): State<Asker>, Parameters(what): Parameters<Address>) -> Response {
    order(ask, |reply| Order::CountFlows(what, reply)).await
}

async fn hold(State(ask): State<Asker>, Json(vip): Json<VipOrder>) -> Response {
    let lease = vip.lease_ms.map(Duration::from_millis);
    order(ask, |reply| Order::Hold(vip.address.map(Addr::from), lease, reply)).await
}

async fn release(State(ask): State<Asker>, Json(vip): Json<VipOrder>) -> Response {
    order(ask, |reply| Order::Release(vip.address.map(Addr::from), reply)).await
}

/// What was refused is said in words.
async fn order<T: Serialize>(
    ask: Asker,
    order: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Order,
) -> Response {
    match question(ask, |reply| Query::Order(order(reply))).await {
        Some(Ok(answer)) => Json(answer).into_response(),
        Some(Err(refusal)) => (StatusCode::CONFLICT, refusal).into_response(),
        None => unavailable(),
    }
}

async fn status(State(ask): State<Asker>) -> Response {
    json(ask, Query::Status).await
}

async fn services(State(ask): State<Asker>) -> Response {
    json(ask, Query::Services).await
}

async fn pools(State(ask): State<Asker>) -> Response {
    match question(ask, Query::Pools).await {
        Some(Some(pools)) => Json(pools).into_response(),
        Some(None) => (StatusCode::NOT_FOUND, "this gateway follows no cluster").into_response(),
        None => unavailable(),
    }
}

/// Which flows to show.
#[derive(Debug, Deserialize)]
struct FlowFilter {
    #[serde(default = "default_limit")]
    limit: usize,
    service: Option<String>,
}

fn default_limit() -> usize {
    100
}

async fn flows(State(ask): State<Asker>, Parameters(filter): Parameters<FlowFilter>) -> Response {
    let FlowFilter { limit, service } = filter;
    let limit = limit.min(FLOWS_MAX);
    json(ask, |reply| Query::Flows { limit, service, reply }).await
}

async fn trace(State(ask): State<Asker>, Parameters(asked): Parameters<Question>) -> Response {
    match question(ask, |reply| Query::Trace(asked, reply)).await {
        Some(Ok(trace)) => Json(trace).into_response(),
        Some(Err(wrong)) => (StatusCode::BAD_REQUEST, wrong).into_response(),
        None => unavailable(),
    }
}

async fn capture(State(ask): State<Asker>, Parameters(request): Parameters<Request>) -> Response {
    let answer = question(ask, |reply| Query::Capture { request, reply }).await;
    match answer {
        None => unavailable(),
        Some(Err(Refused::Wrong(what))) => (StatusCode::BAD_REQUEST, what).into_response(),
        Some(Err(Refused::Busy)) => {
            let what = "somebody else captures already; DELETE /v1/capture ends that";
            (StatusCode::CONFLICT, what).into_response()
        }
        Some(Err(Refused::Failed(what))) => (StatusCode::SERVICE_UNAVAILABLE, what).into_response(),
        Some(Ok(mut file)) => {
            let chunks =
                poll_fn(move |cx| file.poll_recv(cx).map(|chunk| chunk.map(Ok::<_, Infallible>)));
            ([(header::CONTENT_TYPE, CAPTURE_TYPE)], Body::from_stream(chunks)).into_response()
        }
    }
}

async fn end_capture(State(ask): State<Asker>) -> Response {
    match question(ask, Query::EndCapture).await {
        Some(true) => StatusCode::NO_CONTENT.into_response(),
        Some(false) => (StatusCode::NOT_FOUND, "nobody captures").into_response(),
        None => unavailable(),
    }
}

async fn metrics(State(ask): State<Asker>) -> Response {
    match question(ask, Query::Metrics).await {
        Some(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        None => unavailable(),
    }
}

async fn json<T: Serialize>(
    ask: Asker,
    query: impl FnOnce(oneshot::Sender<T>) -> Query,
) -> Response {
    question(ask, query).await.map_or_else(unavailable, |answer| Json(answer).into_response())
}

async fn question<T>(ask: Asker, query: impl FnOnce(oneshot::Sender<T>) -> Query) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    ask.send(query(reply)).await.ok()?;
    answer.await.ok()
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping").into_response()
}
