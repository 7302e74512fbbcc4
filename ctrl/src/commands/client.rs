use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// How long a gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the admin API at `socket` for `path` and returns the answer as it is.
pub fn get(socket: &Path, path: &str) -> anyhow::Result<String> {
    exchange(socket, Method::GET, path, Bytes::new())
}

/// The same, decoded.
pub fn get_as<T: DeserializeOwned>(socket: &Path, path: &str) -> anyhow::Result<T> {
    decode(path, &get(socket, path)?)
}

/// Orders something and returns the answer as it is.
pub fn post(socket: &Path, path: &str, order: &impl Serialize) -> anyhow::Result<String> {
    let body = serde_json::to_vec(order).context("write the order as JSON")?;
    exchange(socket, Method::POST, path, body.into())
}

/// What an answer says.
pub fn decode<T: DeserializeOwned>(path: &str, text: &str) -> anyhow::Result<T> {
    serde_json::from_str(text).with_context(|| {
        format!("cannot understand the answer to {path}: is the gateway of another version?")
    })
}

fn exchange(socket: &Path, method: Method, path: &str, body: Bytes) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime
        .block_on(async { tokio::time::timeout(PATIENCE, ask(socket, method, path, body)).await });
    let seconds = PATIENCE.as_secs();
    answer.with_context(|| format!("{} did not answer within {seconds} s", socket.display()))?
}

async fn ask(socket: &Path, method: Method, path: &str, body: Bytes) -> anyhow::Result<String> {
    let response = send(socket, method, path, body).await?;
    let body = response.into_body().collect().await;
    let body = body.with_context(|| format!("the answer to {path} broke off"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// Asks for something whose answer comes bit by bit.
///
/// # Errors
/// When nobody answers, or says no; the message is what was said.
pub async fn send(
    socket: &Path,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<Response<Incoming>> {
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
    let what = format!("{method} {path}");
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "portreeve")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    let response = sender.send_request(request).await.with_context(|| format!("{what} failed"))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response.into_body().collect().await;
    let body = body.with_context(|| format!("{what} broke off"))?.to_bytes();
    let said = String::from_utf8_lossy(&body);
    let said = said.trim();
    match status {
        // Refused, in words for people.
        StatusCode::CONFLICT | StatusCode::BAD_REQUEST => {
            bail!("{}", said.strip_prefix("error: ").unwrap_or(said))
        }
        _ => bail!("{what}: {status}: {said}"),
    }
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
