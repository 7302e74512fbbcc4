//! `healthCheckNodePort`: a load balancer before the nodes asks there, of a service with
//! `externalTrafficPolicy: Local`, whether packets for it may be sent to this one. The answer is what
//! kube-proxy gives: 200 with endpoints, 503 without.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use dataplane::time::BootTime;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::api::metadata::Key;
use super::snapshot::Complaint;
use super::translate::Translated;

/// Between two attempts to listen where somebody else does.
const RETRY: Duration = Duration::from_secs(5);
/// How much of the traffic that is weighed by endpoints we would have, in the words of kube-proxy.
const WEIGHT: &str = "x-load-balancing-endpoint-weight";

/// A service, and how many of its endpoints are reached from here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    service: Key,
    uid: String,
    local: usize,
}

impl Endpoints {
    /// What a service has been translated to says how many there are.
    #[must_use]
    pub fn of(service: &Key, translated: &Translated) -> Self {
        let backends = translated.services.iter().flat_map(|part| &part.backends);
        // Without weight it gets nothing new.
        let ready = backends.filter(|backend| backend.weight > 0);
        let local: BTreeSet<_> = ready.map(|backend| backend.address.value).collect();
        Self { service: service.clone(), uid: translated.uid.clone(), local: local.len() }
    }
}

/// What is said, and whether this gateway is well.
type Answer = (Endpoints, bool);

/// All ports at which we answer. Those that it listens at are closed with it.
#[derive(Debug, Default)]
pub struct HealthPorts {
    open: BTreeMap<u16, Open>,
    /// Ports at which we cannot listen, when it was tried last, and what is said of it.
    failed: BTreeMap<u16, (BootTime, Complaint)>,
}

#[derive(Debug)]
struct Open {
    say: watch::Sender<Answer>,
    task: JoinHandle<io::Result<()>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HealthPorts {
    /// Answers at these ports from now on, and at no others. Whoever is not `well` wants no traffic.
    /// Returns what keeps us from it.
    pub fn follow(&mut self, wanted: BTreeMap<u16, Endpoints>, well: bool) -> Vec<Complaint> {
        self.open.retain(|port, _| wanted.contains_key(port));
        self.failed.retain(|port, _| wanted.contains_key(port));
        let now = BootTime::now();
        for (port, endpoints) in wanted {
            let answer = (endpoints, well);
            if let Some(open) = self.open.get(&port) {
                open.say.send_if_modified(|said| {
                    let news = *said != answer;
                    said.clone_from(&answer);
                    news
                });
            } else if self.failed.get(&port).is_none_or(|(tried, _)| now.since(*tried) >= RETRY) {
                self.open(port, answer, now);
            }
        }
        self.failed.values().map(|(_, complaint)| complaint.clone()).collect()
    }

    fn open(&mut self, port: u16, answer: Answer, now: BootTime) {
        match open(port, answer.clone()) {
            Ok(open) => {
                self.failed.remove(&port);
                self.open.insert(port, open);
            }
            Err(error) => {
                let complaint = complaint(port, answer.0, &error);
                self.failed.insert(port, (now, complaint));
            }
        }
    }

    /// Resolves when it is time to try again to listen. Cancellation-safe, but for the time that has
    /// passed.
    pub async fn retry(&self) {
        if self.failed.is_empty() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn complaint(port: u16, of: Endpoints, error: &io::Error) -> Complaint {
    Complaint {
        kind: "Service",
        object: of.service,
        uid: of.uid,
        reason: "HealthPortInUse",
        message: format!(
            "nobody is told at healthCheckNodePort {port} whether this gateway has endpoints of it: {error}"
        ),
    }
}

fn open(port: u16, answer: Answer) -> io::Result<Open> {
    let everywhere = [
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        // A kernel without IPv6.
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    ];
    let listener = TcpListener::bind(&everywhere[..])?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (say, said) = watch::channel(answer);
    let router = Router::new().fallback(tell).with_state(said);
    let task = tokio::spawn(axum::serve(listener, router).into_future());
    Ok(Open { say, task })
}

async fn tell(State(said): State<watch::Receiver<Answer>>) -> Response {
    let (Endpoints { service, local, .. }, well) = said.borrow().clone();
    let status = if local > 0 && well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "service": { "namespace": service.namespace, "name": service.name },
        "localEndpoints": local,
        "serviceProxyHealthy": well,
    });
    (status, [(WEIGHT, local.to_string())], Json(body)).into_response()
}
