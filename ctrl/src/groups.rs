//! Membership of the solicited-node multicast groups (RFC 4291 section 2.7.1) of IPv6 addresses
//! that we announce, so that switches and NICs that filter multicast let solicitations through
//! to us. Nothing is ever received by these sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv6Addr, UdpSocket};

use anyhow::{Result, bail};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Memberships that one socket holds. The kernel takes them from `net.core.optmem_max` of each
/// socket, 40 bytes apiece; this many fit its smallest default (10 KiB).
const PER_SOCKET: usize = 200;

/// A multicast group on an interface.
type Membership = (u32, Ipv6Addr);

/// The groups that we are a member of, until dropped.
#[derive(Debug, Default)]
pub struct SolicitedNodeGroups {
    sockets: Vec<Socket>,
    /// Where each membership is held: an index into `sockets`.
    joined: BTreeMap<Membership, usize>,
}

#[derive(Debug)]
struct Socket {
    /// Not bound, so that it takes no port.
    udp: UdpSocket,
    memberships: usize,
}

impl SolicitedNodeGroups {
    /// Joins and leaves until we are a member for exactly these addresses, each on the interface
    /// of this index. Does all that can be done; an error names each group that could not be
    /// joined, and the next call tries it again.
    pub fn set(&mut self, wanted: &BTreeSet<(u32, Ipv6Addr)>) -> Result<()> {
        // Addresses with the same last three bytes share a group.
        let wanted: BTreeSet<Membership> =
            wanted.iter().map(|(ifindex, addr)| (*ifindex, solicited_node(*addr))).collect();
        let unwanted: Vec<Membership> =
            self.joined.keys().filter(|held| !wanted.contains(held)).copied().collect();
        for membership in unwanted {
            self.leave(membership);
        }
        let mut failures = Vec::new();
        for &(ifindex, group) in &wanted {
            if !self.joined.contains_key(&(ifindex, group))
                && let Err(error) = self.join((ifindex, group))
            {
                failures.push(format!("join {group} on interface {ifindex}: {error}"));
            }
        }
        if !failures.is_empty() {
            bail!("{}", failures.join("; "));
        }
        Ok(())
    }

    fn join(&mut self, membership: Membership) -> io::Result<()> {
        let (ifindex, group) = membership;
        let index = match self.sockets.iter().position(|socket| socket.memberships < PER_SOCKET) {
            Some(index) => index,
            None => {
                self.sockets.push(Socket::open()?);
                self.sockets.len() - 1
            }
        };
        let socket = &mut self.sockets[index];
        socket.udp.join_multicast_v6(&group, ifindex)?;
        socket.memberships += 1;
        self.joined.insert(membership, index);
        Ok(())
    }

    fn leave(&mut self, membership: Membership) {
        let Some(index) = self.joined.remove(&membership) else { return };
        let (ifindex, group) = membership;
        let socket = &mut self.sockets[index];
        socket.memberships -= 1;
        // Fails only when the kernel has dropped the membership with the interface.
        if let Err(error) = socket.udp.leave_multicast_v6(&group, ifindex) {
            tracing::debug!("leave {group} on interface {ifindex}: {error}");
        }
    }
}

impl Socket {
    fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::INET6, SocketType::DGRAM, flags, None)?;
        Ok(Self { udp: UdpSocket::from(fd), memberships: 0 })
    }
}

/// ff02::1:ffXX:XXXX with the last three bytes of `addr`.
#[must_use]
pub fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = addr.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solicited_node_group_carries_the_last_three_bytes() {
        let addr = "2001:db8::12ab:cdef".parse().unwrap();
        assert_eq!(solicited_node(addr), "ff02::1:ffab:cdef".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn an_interface_that_does_not_exist_is_named() {
        let mut groups = SolicitedNodeGroups::default();
        let wanted = BTreeSet::from([(4_000_000, "2001:db8::1".parse().unwrap())]);
        let error = groups.set(&wanted).unwrap_err().to_string();
        assert!(error.contains("ff02::1:ff00:1 on interface 4000000"), "{error}");
    }
}
