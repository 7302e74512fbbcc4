use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::probe::Failure;

/// Opens a connection. It ends by RST when it goes: thousands of probes leave nothing behind in
/// the kernel, and the server has nothing to wait for.
pub async fn connect(at: SocketAddr) -> Result<TcpStream, Failure> {
    let stream =
        TcpStream::connect(at).await.map_err(|error| Failure::from_io("connect", &error))?;
    // Without it the end is a FIN and a minute of TIME_WAIT, which does no harm either.
    let _ = stream.set_zero_linger();
    Ok(stream)
}
