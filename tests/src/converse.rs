use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};

use crate::traffic::Conversation;

/// Opens `count` connections, each with a request of its own; then asks on all before it reads any
/// answer. In the network namespace of the calling thread.
///
/// # Errors
/// When a connection breaks, or goes on with another server than it began with.
pub fn converse(target: SocketAddr, count: usize) -> Result<()> {
    let mut open = Vec::with_capacity(count);
    for n in 0..count {
        let first = || {
            let mut conversation = Conversation::open(target)?;
            conversation.ask()?;
            let server = conversation.answer()?;
            Ok::<_, anyhow::Error>((conversation, server))
        };
        open.push(first().with_context(|| format!("connection {n}"))?);
    }
    for (n, (conversation, _)) in open.iter_mut().enumerate() {
        conversation.ask().with_context(|| format!("second request on connection {n}"))?;
    }
    for (n, (conversation, server)) in open.iter_mut().enumerate() {
        let again =
            conversation.answer().with_context(|| format!("second answer on connection {n}"))?;
        ensure!(again == *server, "connection {n} began with {server} and went on with {again}");
    }
    Ok(())
}
