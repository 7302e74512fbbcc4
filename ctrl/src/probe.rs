//! Asks the links whether somebody else has an address, before it is claimed: ARP probes (RFC 5227
//! section 2.1.1) and neighbour solicitations of duplicate detection (RFC 4862 section 5.4). Shorter
//! than those RFCs want, since a restart must not wait for seconds: two questions, and so little time
//! that only who answers at once is heard. Workers listen for claims from then on.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dataplane::addr::{Addr, Family, Mac};
use dataplane::pipeline::packet::Body;
use dataplane::pipeline::parse::parse;
use dataplane::pipeline::rehearse::{Probe, What};
use dataplane::wire::{checksum, eth, icmp, ipv6};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::bind;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

/// How long answers are waited for.
pub const PATIENCE: Duration = Duration::from_millis(200);
/// When the question is asked a second time, for the case that one was lost.
const AGAIN: Duration = Duration::from_millis(100);
/// Frames looked at for each port and family: other traffic must not keep us for long.
const FRAMES: usize = 4_096;
/// Enough for every answer.
const FRAME: usize = 256;

/// An address about to be claimed on the link of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The kernel's name of the port.
    pub port: String,
    /// Its MAC.
    pub mac: Mac,
    /// The address.
    pub addr: Addr,
}

/// Questions that are on their way.
#[derive(Debug)]
pub struct Probing {
    targets: Vec<Target>,
    sockets: Vec<(String, Family, OwnedFd)>,
    began: Instant,
}

impl Probing {
    /// Asks, and does not wait. A port that is down is asked nothing.
    ///
    /// # Errors
    /// Without the right to open packet sockets.
    pub fn begin(targets: Vec<Target>, now: Instant) -> Result<Self> {
        let mut sockets: Vec<(String, Family, OwnedFd)> = Vec::new();
        for target in &targets {
            let family = target.addr.family();
            if sockets.iter().any(|(port, f, _)| *port == target.port && *f == family) {
                continue;
            }
            if let Some(socket) = open(&target.port, family)? {
                sockets.push((target.port.clone(), family, socket));
            }
        }
        let probing = Self { targets, sockets, began: now };
        probing.ask();
        Ok(probing)
    }

    fn ask(&self) {
        for target in &self.targets {
            let family = target.addr.family();
            let of =
                |(port, f, _): &&(String, Family, OwnedFd)| *port == target.port && *f == family;
            let Some((.., socket)) = self.sockets.iter().find(of) else { continue };
            // A link that takes nothing now has nobody who could answer.
            let _ = send(socket, &question(target), SendFlags::DONTWAIT);
        }
    }

    /// Waits for the rest of [`PATIENCE`], if it is to `wait`, and says who has answered.
    pub async fn owners(self, wait: bool) -> Vec<(Target, Mac)> {
        if self.sockets.is_empty() {
            return Vec::new();
        }
        let elapsed = self.began.elapsed();
        if wait && elapsed < PATIENCE {
            tokio::time::sleep(AGAIN.saturating_sub(elapsed)).await;
            self.ask();
            tokio::time::sleep(PATIENCE.saturating_sub(self.began.elapsed())).await;
        }
        let asked: HashMap<(&str, Addr), &Target> =
            self.targets.iter().map(|target| ((&*target.port, target.addr), target)).collect();
        let ours: HashSet<Mac> = self.targets.iter().map(|target| target.mac).collect();
        let mut owners: Vec<(Target, Mac)> = Vec::new();
        for (port, _, socket) in &self.sockets {
            let said: BTreeSet<(Addr, Mac)> = answers(socket).into_iter().collect();
            for (addr, mac) in said.into_iter().filter(|(_, mac)| !ours.contains(mac)) {
                if let Some(target) = asked.get(&(&**port, addr)) {
                    owners.push(((*target).clone(), mac));
                }
            }
        }
        owners
    }
}

/// A packet socket that hears one protocol on one port; `None` when there is no such port.
fn open(port: &str, family: Family) -> Result<Option<OwnedFd>> {
    let ethertype = match family {
        Family::V4 => eth::ARP,
        Family::V6 => eth::IPV6,
    };
    let protocol = u32::from(ethertype.to_be()).try_into().ok().map(Protocol::from_raw);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, protocol)
        .context("open a packet socket, to ask who has our addresses")?;
    let mut all = getifaddrs().context("list the interfaces")?;
    let link = all.find_map(|one| {
        one.address?.as_link_addr().copied().filter(|_| one.interface_name == port)
    });
    let Some(link) = link else { return Ok(None) };
    Ok(bind(socket.as_raw_fd(), &link).is_ok().then_some(socket))
}

/// The frame that asks: from nobody, so that nobody learns anything of us yet.
fn question(target: &Target) -> Vec<u8> {
    let nobody = match target.addr.family() {
        Family::V4 => Addr::v4([0; 4]),
        Family::V6 => Addr::v6([0; 16]),
    };
    let (mac, addr) = (target.mac, target.addr);
    let probe = Probe {
        from: mac,
        to: Mac::BROADCAST,
        src: nobody,
        dst: addr,
        what: What::WhoHas,
        ttl: 255,
        len: 0,
    };
    let mut frame = probe.frame();
    if addr.family() == Family::V6 {
        let l4 = eth::LEN + ipv6::LEN;
        let mut group = [0; 16];
        group.copy_from_slice(&frame[l4 - 16..l4]);
        let len = (frame.len() - l4) as u16;
        let pseudo = checksum::pseudo(&nobody, &Addr::v6(group), icmp::PROTO_V6, len);
        let sum = !checksum::fold(pseudo + checksum::sum(&frame[l4..]));
        frame[l4 + 2..l4 + 4].copy_from_slice(&sum.to_be_bytes());
    }
    frame
}

/// What stations on the link have said of addresses, ours and others.
fn answers(socket: &OwnedFd) -> Vec<(Addr, Mac)> {
    let mut said = Vec::new();
    let mut frame = [0; FRAME];
    for _ in 0..FRAMES {
        let Ok((len, total)) = recv(socket, &mut frame[..], RecvFlags::DONTWAIT | RecvFlags::TRUNC)
        else {
            break;
        };
        let packet = parse(&frame[..len], total.max(len));
        match packet.body {
            Body::Arp(arp) => said.push((arp.sender, arp.sender_mac)),
            Body::Advertisement(target) => said.push((target, packet.from)),
            // Somebody else asks at this moment whether he may take it (RFC 4862 section 5.4.3).
            Body::Solicitation(ip, target) if ip.src == Addr::v6([0; 16]) => {
                said.push((target, packet.from));
            }
            _ => {}
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_what_the_data_path_would_answer() {
        for (addr, group) in [
            (Addr::v4([10, 0, 0, 1]), Mac::BROADCAST),
            (Addr::v6([0x20; 16]), Mac([0x33, 0x33, 0xff, 0x20, 0x20, 0x20])),
        ] {
            let target = Target { port: "ens5".into(), mac: Mac([2; 6]), addr };
            let frame = question(&target);
            let packet = parse(&frame, frame.len());
            assert_eq!((packet.from, packet.to), (Mac([2; 6]), group));
            match packet.body {
                Body::Arp(arp) => {
                    assert!(arp.is_request && arp.target == addr);
                    assert_eq!(arp.sender, Addr::v4([0; 4]), "a probe, not an announcement");
                }
                Body::Solicitation(ip, target) => {
                    assert_eq!((ip.src, target), (Addr::v6([0; 16]), addr));
                    let sum = checksum::pseudo(&ip.src, &ip.dst, icmp::PROTO_V6, ip.l4_len());
                    let sum = checksum::fold(sum + checksum::sum(&frame[54..]));
                    assert_eq!(sum, 0xffff, "the ICMPv6 checksum");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
