//! A request to the kernel and its whole answer, over one netlink protocol. An answer that nobody
//! waits for any more (its future was dropped) is told apart by its sequence number and discarded.

use std::fmt::Debug;
use std::io;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLM_F_REQUEST, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use rtnetlink::proto::{ConnectionHandle, new_connection};
use rtnetlink::sys::SocketAddr;

/// Dumps that the kernel marks as torn by a concurrent change are repeated this often.
const DUMP_ATTEMPTS: usize = 5;

/// Sends requests of message type `T`.
#[derive(Clone, Debug)]
pub(super) struct Requests<T: Debug>(ConnectionHandle<T>);

impl<T> Requests<T>
where
    T: NetlinkSerializable + NetlinkDeserializable + Clone + Debug + Send + Unpin + 'static,
{
    /// Opens a socket of `protocol` (`NETLINK_ROUTE`, ...) in this thread's network namespace,
    /// served by a task of the current runtime that ends with the last clone of this handle.
    pub(super) fn open(protocol: isize) -> Result<Self> {
        let (mut connection, handle, _unsolicited) = new_connection::<T>(protocol)
            .with_context(|| format!("open netlink socket of protocol {protocol}"))?;
        // An answer without its end is one that was cut off.
        connection.set_forward_done(true);
        connection.set_forward_ack(true);
        tokio::spawn(connection);
        Ok(Self(handle))
    }

    /// Everything that the kernel has of `message`'s kind.
    pub(super) async fn dump(&self, message: T) -> io::Result<Vec<T>> {
        for _ in 0..DUMP_ATTEMPTS {
            let (items, torn) = self.exchange(message.clone(), NLM_F_DUMP).await?;
            if !torn {
                return Ok(items);
            }
        }
        // What tore it was a change, and a change that matters to us comes as an event, too.
        let (items, torn) = self.exchange(message, NLM_F_DUMP).await?;
        if torn {
            tracing::warn!("a netlink dump was interrupted by changes {DUMP_ATTEMPTS} times");
        }
        Ok(items)
    }

    /// A change, with `flags` beside the usual ones; waits for the acknowledgement.
    pub(super) async fn change(&self, message: T, flags: u16) -> io::Result<()> {
        self.exchange(message, NLM_F_ACK | flags).await.map(drop)
    }

    /// A question with one answer.
    pub(super) async fn ask(&self, message: T) -> io::Result<Option<T>> {
        let (items, _) = self.exchange(message, 0).await?;
        Ok(items.into_iter().next())
    }

    async fn exchange(&self, message: T, flags: u16) -> io::Result<(Vec<T>, bool)> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        let mut answers = self.0.request(request, SocketAddr::new(0, 0)).map_err(|_| closed())?;
        let (mut items, mut torn, mut ended) = (Vec::new(), false, false);
        while let Some(answer) = answers.next().await {
            torn |= answer.header.flags & NLM_F_DUMP_INTR != 0;
            match answer.payload {
                NetlinkPayload::InnerMessage(item) => {
                    ended = answer.header.flags & NLM_F_MULTIPART == 0;
                    items.push(item);
                }
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Done(done) if done.code < 0 => {
                    return Err(io::Error::from_raw_os_error(-done.code));
                }
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => ended = true,
                payload => return Err(io::Error::other(format!("answered {payload:?}"))),
            }
        }
        if !ended {
            return Err(closed());
        }
        Ok((items, torn))
    }
}

fn closed() -> io::Error {
    io::Error::other("the netlink socket is closed")
}
