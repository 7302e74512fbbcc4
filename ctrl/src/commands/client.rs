use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// How long a gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the admin API at `socket` for `path` and returns the answer as it is.
pub fn get(socket: &Path, path: &str) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(socket, path)).await });
    let seconds = PATIENCE.as_secs();
    answer.with_context(|| format!("{} did not answer within {seconds} s", socket.display()))?
}

/// The same, decoded.
pub fn get_as<T: DeserializeOwned>(socket: &Path, path: &str) -> anyhow::Result<T> {
    let text = get(socket, path)?;
    serde_json::from_str(&text).with_context(|| {
        format!("cannot understand the answer to GET {path}: is the gateway of another version?")
    })
}

async fn ask(socket: &Path, path: &str) -> anyhow::Result<String> {
    let response = send(socket, Method::GET, path).await?;
    let body =
        response.into_body().collect().await.with_context(|| format!("GET {path} broke off"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// Asks for something whose answer comes bit by bit.
///
/// # Errors
/// When nobody answers, or says no; the message is what was said.
pub async fn send(socket: &Path, method: Method, path: &str) -> anyhow::Result<Response<Incoming>> {
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!(
            "cannot connect to {}: does the gateway run, and with this socket (--socket)?",
            socket.display()
        )
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // The connection ends with its error when the request does, which is the better message.
    tokio::spawn(connection);
    let request = Request::builder().method(&method).uri(path);
    let request = request.header(header::HOST, "portreeve").body(Empty::<Bytes>::new())?;
    let response =
        sender.send_request(request).await.with_context(|| format!("{method} {path} failed"))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response.into_body().collect().await;
    let body = body.with_context(|| format!("{method} {path} broke off"))?.to_bytes();
    let said = String::from_utf8_lossy(&body);
    let said = said.trim();
    // What was written for people is not to be dressed up.
    if let Some(said) = said.strip_prefix("error: ") {
        bail!("{said}");
    }
    bail!("{method} {path}: {status}: {said}")
}

/// Percent-encodes all but the unreserved characters (RFC 3986 section 2.3).
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => drop(write!(out, "%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services_are_escaped() {
        assert_eq!(escaped("ns/web&x=1 é"), "ns%2Fweb%26x%3D1%20%C3%A9");
    }
}
