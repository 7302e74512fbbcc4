use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dataplane::addr::Family;
use dataplane::wire::{checksum, icmp};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use super::probe::Failure;

/// Bytes of an echo message before its data (RFC 792, RFC 4443 section 4.1).
const HEADER: usize = 8;
/// Bytes of a request: the data is the number of the probe.
const REQUEST: usize = HEADER + size_of::<u64>();
/// More than any answer to a request of ours, IPv4 header with options included.
const ANSWER_MAX: usize = 256;

/// Sends echo requests and hears the answers, by one raw socket for each family. They are opened
/// at once, while the thread still may.
#[derive(Debug)]
pub struct Pinger {
    /// Raw ones: the type names only how they are read and written, by `recvfrom` and `sendto`.
    sockets: [io::Result<UdpSocket>; 2],
    waiting: Mutex<HashMap<u64, (IpAddr, oneshot::Sender<()>)>>,
    next: AtomicU64,
}

impl Pinger {
    /// Opens the sockets. Needs `CAP_NET_RAW` and the context of a runtime; what cannot be opened
    /// is said when it is used.
    pub fn open() -> Arc<Self> {
        // Numbers that nobody guesses: an answer to a request that was never made counts for none.
        let next = AtomicU64::new(RandomState::new().hash_one("portreeve"));
        let sockets = [Family::V4, Family::V6].map(open);
        Arc::new(Self { sockets, waiting: Mutex::default(), next })
    }

    /// Hears answers for ever.
    pub async fn hear(self: Arc<Self>, family: Family) {
        let Ok(socket) = &self.sockets[family as usize] else { return };
        let mut buffer = [0; ANSWER_MAX];
        loop {
            // What went wrong with an earlier request may be told here; the next one is not hurt.
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
            if let Some(number) = answered(family, &buffer[..length]) {
                self.deliver(number, from.ip());
            }
        }
    }

    /// Asks `target` once and waits for its answer.
    pub async fn ping(&self, target: IpAddr) -> Result<(), Failure> {
        let family = if target.is_ipv4() { Family::V4 } else { Family::V6 };
        let socket = self.sockets[family as usize].as_ref().map_err(|error| {
            Failure::Ourselves(format!("no raw socket for ICMP (needs CAP_NET_RAW): {error}"))
        })?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        self.waiting().insert(number, (target, tell));
        let _forgotten = Forget { pinger: self, number };
        let sent = socket.send_to(&request(family, number), (target, 0)).await;
        sent.map_err(|error| Failure::from_io("send an echo request", &error))?;
        told.await.map_err(|_| Failure::Ourselves("the probe was given up".into()))
    }

    fn deliver(&self, number: u64, from: IpAddr) {
        let mut waiting = self.waiting();
        if waiting.get(&number).is_some_and(|(target, _)| *target == from)
            && let Some((_, tell)) = waiting.remove(&number)
        {
            // Whoever asked may have given up meanwhile.
            let _ = tell.send(());
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, (IpAddr, oneshot::Sender<()>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A probe that is over waits no more, however it ended.
struct Forget<'a> {
    pinger: &'a Pinger,
    number: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.pinger.waiting().remove(&self.number);
    }
}

fn open(family: Family) -> io::Result<UdpSocket> {
    let (domain, protocol) = match family {
        Family::V4 => (AddressFamily::INET, ipproto::ICMP),
        Family::V6 => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(domain, SocketType::RAW, flags, Some(protocol))?;
    UdpSocket::from_std(socket.into())
}

fn request(family: Family, number: u64) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    request[0] = match family {
        Family::V4 => icmp::v4::ECHO_REQUEST,
        Family::V6 => icmp::v6::ECHO_REQUEST,
    };
    // Identifier and sequence number, for captures: the data tells answers apart.
    request[4..HEADER].copy_from_slice(&(number as u32).to_be_bytes());
    request[HEADER..].copy_from_slice(&number.to_be_bytes());
    // The kernel fills in that of ICMPv6, which covers addresses that it chooses (RFC 3542 3.1).
    if family == Family::V4 {
        let sum = checksum::fold(checksum::sum(&request));
        request[2..4].copy_from_slice(&(!sum).to_be_bytes());
    }
    request
}

/// The number of the probe that a received packet answers. Raw IPv4 sockets give the IP header
/// too, IPv6 ones do not.
fn answered(family: Family, packet: &[u8]) -> Option<u64> {
    let (message, kind) = match family {
        Family::V4 => {
            let header = usize::from(packet.first()? & 0x0f) * 4;
            (packet.get(header..)?, icmp::v4::ECHO_REPLY)
        }
        Family::V6 => (packet, icmp::v6::ECHO_REPLY),
    };
    let data = message.get(HEADER..REQUEST)?;
    (message[0] == kind).then_some(u64::from_be_bytes(data.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_either_family_names_its_probe() {
        let number = 0x0102_0304_0506_0708;
        let mut v4 = vec![0x46; 24];
        v4.extend(request(Family::V4, number));
        assert_eq!(answered(Family::V4, &v4), None, "a request is no answer");
        v4[24] = icmp::v4::ECHO_REPLY;
        assert_eq!(answered(Family::V4, &v4), Some(number));
        let mut v6 = request(Family::V6, number);
        v6[0] = icmp::v6::ECHO_REPLY;
        assert_eq!(answered(Family::V6, &v6), Some(number));
        for cut in 0..v6.len() {
            assert_eq!(answered(Family::V6, &v6[..cut]), None);
        }
    }

    #[test]
    fn a_request_has_a_good_checksum() {
        assert_eq!(checksum::fold(checksum::sum(&request(Family::V4, 77))), 0xffff);
    }
}
