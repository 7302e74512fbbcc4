use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
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
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!(
            "cannot connect to {}: does the gateway run, and with this socket (--socket)?",
            socket.display()
        )
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // The connection ends with its error when the request does, which is the better message.
    let driver = tokio::spawn(connection);
    let request =
        Request::get(path).header(header::HOST, "portreeve").body(Empty::<Bytes>::new())?;
    let response =
        sender.send_request(request).await.with_context(|| format!("GET {path} failed"))?;
    let status = response.status();
    let body =
        response.into_body().collect().await.with_context(|| format!("GET {path} broke off"))?;
    driver.abort();
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    // The gateway says what is wrong with the question: nothing to add.
    if status == StatusCode::BAD_REQUEST {
        bail!("{}", text.trim());
    }
    if status != StatusCode::OK {
        bail!("GET {path}: {status}: {}", text.trim());
    }
    Ok(text)
}
