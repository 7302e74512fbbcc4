use super::super::Packets;
use super::super::packet::{Body, Ip, Upper};
use super::{Room, TCP, UDP, check_length, header, icmp_facts, of_tcp, of_udp, push};
use super::{tcp_header, udp_header};
use crate::addr::Addr;
use crate::drop_reason::DropReason;
use crate::wire::{eth, icmp, ipv6, ndp};

const LOOPBACK: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

#[inline(never)]
pub(super) fn read(
    eth: &eth::Eth,
    bytes: &[u8],
    total: usize,
    packets: &mut Packets,
) -> Result<(), DropReason> {
    let l3 = eth::LEN;
    let ip = header::<ipv6::Ipv6>(bytes, l3)?;
    let payload = ip.payload_len.get();
    let len = (ipv6::LEN as u16).checked_add(payload).ok_or(DropReason::Malformed)?;
    if ip.version_class_flow[0] >> 4 != 6 || payload == 0 || ip.src[0] == 0xff {
        return Err(DropReason::Malformed);
    }
    let end = l3 + usize::from(len);
    check_length(bytes, total, end)?;
    let packet = &bytes[l3..end.min(bytes.len())];
    let (offset, proto) = match ipv6::walk(packet, ip.next_header) {
        Ok(ipv6::Upper::Transport { proto, offset }) => (offset, Some(proto)),
        Ok(ipv6::Upper::Fragment { offset }) => (offset, None),
        Err(ipv6::WalkError::Truncated) => return Err(DropReason::Truncated),
        Err(ipv6::WalkError::Refused) => return Err(DropReason::ExtensionHeaders),
    };
    let l4 = l3 + offset;
    let at = V6 { eth, ip, l4, len };
    let room = Room::new(bytes, l4, end);
    match proto {
        Some(TCP) => {
            let tcp = tcp_header(&room?)?;
            at.check_ends(false)?;
            at.write(packets, of_tcp(tcp));
        }
        Some(UDP) => {
            let udp = udp_header(&room?)?;
            at.check_ends(false)?;
            if udp.checksum.get() == 0 {
                // Not allowed over IPv6 (RFC 8200 section 8.1).
                return Err(DropReason::BadChecksum);
            }
            at.write(packets, of_udp(udp));
        }
        Some(icmp::PROTO_V6) => read_icmp(at, bytes, icmp_facts(&room?)?, packets)?,
        Some(_) => {
            room?;
            at.check_ends(false)?;
            at.write(packets, Upper::Other);
        }
        None => {
            at.check_ends(false)?;
            at.write(packets, Upper::Fragment);
        }
    }
    Ok(())
}

/// What is known of an IPv6 packet when its payload has been read.
#[derive(Clone, Copy)]
struct V6<'a> {
    eth: &'a eth::Eth,
    ip: &'a ipv6::Ipv6,
    l4: usize,
    len: u16,
}

impl V6<'_> {
    /// Whether a packet can be from and to these addresses. From "unspecified" only duplicate detection
    /// speaks, which `asks` who has an address.
    #[inline(always)]
    fn check_ends(&self, asks: bool) -> Result<(), DropReason> {
        let src = Addr::v6(self.ip.src);
        // IPv4-mapped addresses do not belong on the wire; to us they would be IPv4 ones.
        let mapped = src.is_v4() || Addr::v6(self.ip.dst).is_v4();
        let nobody = self.ip.src == [0; 16] && !asks;
        if mapped || nobody || self.ip.src == LOOPBACK {
            return Err(DropReason::Malformed);
        }
        Ok(())
    }

    #[inline(always)]
    fn write(self, packets: &mut Packets, upper: Upper) {
        push(packets, self.eth, Body::Ip(self.facts(upper)));
    }

    #[inline(always)]
    fn facts(&self, upper: Upper) -> Ip {
        Ip {
            src: Addr::v6(self.ip.src),
            dst: Addr::v6(self.ip.dst),
            l3: eth::LEN as u16,
            l4: self.l4 as u16,
            len: self.len,
            ttl: self.ip.hop_limit,
            may_fragment: false,
            upper,
        }
    }
}

/// A message of ICMPv6: some are about neighbours.
#[inline(never)]
fn read_icmp(
    at: V6<'_>,
    bytes: &[u8],
    upper: Upper,
    packets: &mut Packets,
) -> Result<(), DropReason> {
    let target = solicited(bytes, at.l4, upper)?;
    at.check_ends(target.is_some())?;
    let ip = at.facts(upper);
    match (target, advertised(bytes, &ip)?) {
        // Only what comes from the link counts as a question (RFC 4861 section 7.1.1).
        (Some(target), _) if ip.ttl == ndp::HOP_LIMIT => {
            push(packets, at.eth, Body::Solicitation(ip, target));
        }
        (_, Some(target)) => push(packets, at.eth, Body::Advertisement(target)),
        _ => at.write(packets, upper),
    }
    Ok(())
}

/// The address that a neighbour solicitation asks for. Behind a fragment header it asks for nothing
/// (RFC 6980 section 5), and nobody writes other extension headers before it.
fn solicited(bytes: &[u8], l4: usize, upper: Upper) -> Result<Option<Addr>, DropReason> {
    let plain = l4 == eth::LEN + ipv6::LEN;
    if !plain || upper != (Upper::Icmp { kind: icmp::v6::SOLICITATION }) {
        return Ok(None);
    }
    let message = header::<ndp::Neighbour>(bytes, l4)?;
    if message.code != 0 || message.target[0] == 0xff {
        return Err(DropReason::Malformed);
    }
    Ok(Some(Addr::v6(message.target)))
}

/// The address that a neighbour advertisement claims. Only what comes from the link counts (RFC
/// 4861 section 7.1.2).
fn advertised(bytes: &[u8], ip: &Ip) -> Result<Option<Addr>, DropReason> {
    if ip.upper != (Upper::Icmp { kind: icmp::v6::ADVERTISEMENT }) || ip.ttl != ndp::HOP_LIMIT {
        return Ok(None);
    }
    let message = header::<ndp::Neighbour>(bytes, ip.l4())?;
    Ok(Some(Addr::v6(message.target)))
}
