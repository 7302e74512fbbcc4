use std::net::SocketAddr;
use std::ops::RangeInclusive;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;

use super::probe::Failure;
use super::tcp;
use crate::desired::health::HttpProbe;

const AGENT: &str = concat!("portreeve/", env!("CARGO_PKG_VERSION"), " (health check)");

/// Asks for the path and looks at the status; the body is not waited for.
pub async fn get(at: SocketAddr, probe: &HttpProbe) -> Result<(), Failure> {
    let stream = tcp::connect(at).await?;
    let broken = |error: hyper::Error| Failure::Backend(format!("no answer in HTTP: {error}"));
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(broken)?;
    let host = probe.host.clone().unwrap_or_else(|| at.to_string());
    let request = Request::get(&probe.path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failure::Ourselves(format!("no such request: {error}")))?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    let response = tokio::select! {
        biased;
        response = &mut answer => response,
        // Drives the exchange. When it ends first, the answer is there or never comes.
        _ = &mut connection => answer.await,
    };
    let status = response.map_err(broken)?.status().as_u16();
    if probe.status.contains(&status) {
        return Ok(());
    }
    Err(Failure::Backend(format!("answered {status} instead of {}", words(&probe.status))))
}

fn words(status: &RangeInclusive<u16>) -> String {
    let (first, last) = (status.start(), status.end());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}
