//! The table: what arrives, whose it is, and why. Order matters where fragments do.

use std::net::{Ipv4Addr, Ipv6Addr};

use portreeve_bpf_abi::Verdict::{self, *};

use super::frames::*;

/// (label, frame, cause)
pub type Case = (&'static str, Vec<u8>, Verdict);

// What the maps of the test say (world.rs).
pub const WHOLE: Ipv4Addr = Ipv4Addr::new(10, 10, 200, 1);
pub const SHARED: Ipv4Addr = Ipv4Addr::new(10, 10, 200, 2);
pub const HOST_ONLY: Ipv4Addr = Ipv4Addr::new(10, 10, 200, 3);
pub const SHARED_TOO: Ipv4Addr = Ipv4Addr::new(10, 10, 200, 4); // SERVICE_PORT only
pub const BACKEND_HERE: Ipv4Addr = Ipv4Addr::new(10, 10, 200, 5); // of the host and a backend
pub const BACKEND: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
pub const POD: Ipv4Addr = Ipv4Addr::new(10, 30, 0, 7); // 10.30.0.0/16: policy 1
pub const SPECIAL_POD: Ipv4Addr = Ipv4Addr::new(10, 30, 5, 7); // 10.30.5.0/24: policy 2
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
pub const COVERED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9); // policy 1: 0.0.0.0/0
pub const EXCLUDED: Ipv4Addr = Ipv4Addr::new(203, 0, 114, 9); // policy 1: not 203.0.114.0/24

pub const WHOLE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub const SHARED6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
pub const HOST_ONLY6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3);
pub const BACKEND6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
pub const POD6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 7); // /48: policy 1
pub const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 9);
pub const COVERED6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 9); // 2001:db8:77::/48
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const SOLICITED: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1);

/// TCP only, on both shared addresses.
pub const SERVICE_PORT: u16 = 443;
/// TCP and UDP, on both shared addresses.
pub const RANGE: (u16, u16) = (61_000, 65_535);
/// Of ICMP and ICMPv6 echos, on both shared addresses.
pub const IDENTIFIER: u16 = 61_003;
/// TCP, of both backends.
pub const BACKEND_PORT: u16 = 8080;

pub fn all() -> Vec<Case> {
    [link(), owned(), shared(), shared_errors(), shared6(), fragments(), nat(), egress()].concat()
}

fn link() -> Vec<Case> {
    let arp =
        |dst, op, target: Ipv4Addr| eth(dst, 0x0806, &arp(op, CLIENT.octets(), target.octets()));
    let bad = |at: usize, value| {
        let mut frame = arp(BROADCAST, 1, WHOLE);
        frame[at] = value;
        frame
    };
    let mcast = |dst, proto, payload| v6(CLIENT6, dst, proto, payload).frame_to(GROUP);
    let mapped = WHOLE.to_ipv6_mapped();
    let tagged = [&[0, 5, 8, 0][..], &tcp(CLIENT, WHOLE, 4000, 80).bytes()].concat();
    vec![
        ("arp request for an address of ours", arp(BROADCAST, 1, WHOLE), Arp),
        ("arp request for an address of ours, to us alone", arp(UNICAST, 1, WHOLE), Arp),
        ("arp reply to an address of ours", arp(UNICAST, 2, WHOLE), Arp),
        ("arp request for a shared address", arp(BROADCAST, 1, SHARED), Other),
        ("arp request for the host", arp(BROADCAST, 1, HOST_ONLY), Other),
        ("arp request for a stranger", arp(BROADCAST, 1, CLIENT), Other),
        ("arp request for a backend", arp(BROADCAST, 1, BACKEND), Other),
        ("rarp for an address of ours", arp(BROADCAST, 3, WHOLE), Other),
        ("arp of another link type", bad(15, 6), Other),
        ("arp of another protocol", bad(16, 0x86), Other),
        ("arp with long link addresses", bad(18, 8), Other),
        ("arp with long protocol addresses", bad(19, 16), Other),
        ("solicitation of an address of ours", mcast(SOLICITED, ICMPV6, ndp(135, WHOLE6)), Ndp),
        (
            "solicitation sent to the address itself",
            v6(CLIENT6, WHOLE6, ICMPV6, ndp(135, WHOLE6)).frame(),
            Owned,
        ),
        (
            "duplicate address detection",
            v6(Ipv6Addr::UNSPECIFIED, SOLICITED, ICMPV6, ndp(135, WHOLE6)).frame_to(GROUP),
            Ndp,
        ),
        (
            "advertisement that claims an address of ours",
            mcast(ALL_NODES, ICMPV6, ndp(136, WHOLE6)),
            Ndp,
        ),
        ("advertisement of a stranger", mcast(ALL_NODES, ICMPV6, ndp(136, CLIENT6)), Other),
        ("solicitation of a shared address", mcast(SOLICITED, ICMPV6, ndp(135, SHARED6)), Other),
        ("solicitation of the host", mcast(SOLICITED, ICMPV6, ndp(135, HOST_ONLY6)), Other),
        ("solicitation of a mapped address", mcast(SOLICITED, ICMPV6, ndp(135, mapped)), Other),
        (
            "solicitation behind hop-by-hop options",
            v6(CLIENT6, SOLICITED, ICMPV6, ndp(135, WHOLE6)).extension(HOP_BY_HOP).frame_to(GROUP),
            Ndp,
        ),
        (
            "solicitation in a fragment",
            v6(CLIENT6, SOLICITED, ICMPV6, ndp(135, WHOLE6)).fragment(1, 0, true).frame_to(GROUP),
            Other,
        ),
        ("router solicitation", mcast(ALL_NODES, ICMPV6, ndp(133, WHOLE6)), Other),
        ("multicast udp", mcast(ALL_NODES, UDP, ports(5353, 5353)), Other),
        ("vlan tag before a packet to an address of ours", eth(UNICAST, 0x8100, &tagged), Owned),
        ("two vlan tags", eth(UNICAST, 0x8100, &[&[0, 6, 0x81, 0], &tagged[..]].concat()), Other),
        ("provider tag", eth(UNICAST, 0x88a8, &tagged), Other),
        ("vlan tag cut off", eth(UNICAST, 0x8100, &[0, 5]), Other),
        ("lldp", eth(BROADCAST, 0x88cc, &[0; 40]), Other),
    ]
}

fn owned() -> Vec<Case> {
    let to = |proto, payload| v4(CLIENT, WHOLE, proto, payload);
    let to6 = |proto, payload| v6(CLIENT6, WHOLE6, proto, payload);
    let mapped = WHOLE.to_ipv6_mapped();
    let jumbo = [ports(4000, 80), vec![0; 8900]].concat();
    vec![
        ("tcp to an address of ours", tcp(CLIENT, WHOLE, 4000, 80).frame(), Owned),
        ("udp to an address of ours", to(UDP, ports(4000, 53)).frame(), Owned),
        ("ping of an address of ours", to(ICMP, echo(8, 7)).frame(), Owned),
        ("an unknown protocol to an address of ours", to(47, vec![0; 30]).frame(), Owned),
        ("ip options to an address of ours", to(TCP, ports(4000, 80)).options(10).frame(), Owned),
        (
            "a later fragment to an address of ours",
            to(TCP, vec![0; 64]).fragment(9, 8, false).frame(),
            Owned,
        ),
        ("a jumbo frame to an address of ours", to(TCP, jumbo).frame(), Owned),
        ("tcp over ipv6 to an address of ours", to6(TCP, ports(4000, 80)).frame(), Owned),
        (
            "nine extension headers to an address of ours",
            extended(to6(TCP, ports(4000, 80)), 9).frame(),
            Owned,
        ),
        ("ping6 of an address of ours", to6(ICMPV6, echo(128, 7)).frame(), Owned),
        ("version 6 in a frame of ipv4", to(TCP, ports(4000, 80)).first_byte(0x65).frame(), Other),
        ("a header shorter than ipv4's", to(TCP, ports(4000, 80)).first_byte(0x44).frame(), Other),
        ("version 4 in a frame of ipv6", to6(TCP, ports(4000, 80)).first_byte(0x40).frame(), Other),
        ("ipv4 in a frame of ipv6", eth(UNICAST, 0x86dd, &to(TCP, ports(4000, 80)).bytes()), Other),
        (
            "a mapped destination on the wire",
            v6(CLIENT6, mapped, TCP, ports(4000, 80)).frame(),
            Other,
        ),
        ("a mapped source on the wire", v6(mapped, WHOLE6, TCP, ports(4000, 80)).frame(), Other),
        ("tcp to the host", tcp(CLIENT, HOST_ONLY, 4000, 22).frame(), Host),
        ("tcp over ipv6 to the host", v6(CLIENT6, HOST_ONLY6, TCP, ports(4000, 22)).frame(), Host),
        ("tcp to a stranger", tcp(CLIENT, EXCLUDED, 4000, 80).frame(), Other),
        (
            "limited broadcast",
            v4(CLIENT, Ipv4Addr::BROADCAST, UDP, ports(68, 67)).frame_to(BROADCAST),
            Other,
        ),
    ]
}

fn shared() -> Vec<Case> {
    let to = |dst| tcp(CLIENT, SHARED, 4000, dst);
    let udp = |dst| v4(CLIENT, SHARED, UDP, ports(4000, dst)).frame();
    let jumbo = [ports(4000, SERVICE_PORT), vec![0; 8900]].concat();
    vec![
        ("our port on a shared address", to(SERVICE_PORT).frame(), PortRange),
        ("our port behind ip options", to(SERVICE_PORT).options(10).frame(), PortRange),
        ("our port in a jumbo frame", v4(CLIENT, SHARED, TCP, jumbo).frame(), PortRange),
        ("our port of the other protocol", udp(SERVICE_PORT), Host),
        ("our port as the source", tcp(CLIENT, SHARED, SERVICE_PORT, 22).frame(), Host),
        ("the first port of a range", to(RANGE.0).frame(), PortRange),
        ("a port inside a range", udp(63_333), PortRange),
        ("the last port of a range", udp(RANGE.1), PortRange),
        ("the port below a range", udp(RANGE.0 - 1), Host),
        ("ssh of the host on a shared address", to(22).frame(), Host),
        ("port 0 on a shared address", to(0).frame(), Host),
        ("ping of a shared address", v4(CLIENT, SHARED, ICMP, echo(8, IDENTIFIER)).frame(), Host),
        (
            "answer to a ping of ours",
            v4(CLIENT, SHARED, ICMP, echo(0, IDENTIFIER)).frame(),
            PortRange,
        ),
        ("answer to a ping of the host's", v4(CLIENT, SHARED, ICMP, echo(0, 5)).frame(), Host),
        ("icmpv6 in ipv4", v4(CLIENT, SHARED, ICMPV6, echo(129, IDENTIFIER)).frame(), Host),
        (
            "an unknown protocol on a shared address",
            v4(CLIENT, SHARED, 47, ports(1, SERVICE_PORT)).frame(),
            Host,
        ),
    ]
}

fn shared_errors() -> Vec<Case> {
    let quote =
        |kind, quoted: V4| v4(CLIENT, SHARED, ICMP, icmp(kind, [0; 4], &quoted.bytes())).frame();
    let sent = |port| tcp(SHARED, BACKEND, port, 8000);
    let short = |port| v4(SHARED, BACKEND, UDP, ports(port, 8000)[..8].to_vec());
    let quote6 = |kind, quoted: V6| {
        v6(CLIENT6, SHARED6, ICMPV6, icmp(kind, [0; 4], &quoted.bytes())).frame()
    };
    let sent6 = |port| v6(SHARED6, BACKEND6, TCP, ports(port, 8000));
    vec![
        ("unreachable about a port of ours", quote(3, sent(RANGE.0)), IcmpError),
        ("time exceeded about a port of ours", quote(11, short(RANGE.0)), IcmpError),
        ("parameter problem about a port of ours", quote(12, sent(RANGE.1)), IcmpError),
        ("unreachable about a packet with options", quote(3, sent(RANGE.0).options(3)), IcmpError),
        (
            "unreachable about a first fragment",
            quote(3, sent(RANGE.0).fragment(3, 0, true)),
            IcmpError,
        ),
        ("unreachable about a later fragment", quote(3, sent(RANGE.0).fragment(3, 4, true)), Host),
        (
            "unreachable about a ping of ours",
            quote(3, v4(SHARED, CLIENT, ICMP, echo(8, IDENTIFIER))),
            IcmpError,
        ),
        ("unreachable about a port of the host", quote(3, sent(40_000)), Host),
        (
            "unreachable about a port of ours as the destination",
            quote(3, tcp(SHARED, BACKEND, 40_000, RANGE.0)),
            Host,
        ),
        (
            "unreachable about what somebody else sent",
            quote(3, tcp(CLIENT, SHARED, RANGE.0, RANGE.0)),
            Host,
        ),
        (
            "unreachable to one shared address about a port of another",
            quote(3, tcp(SHARED_TOO, BACKEND, SERVICE_PORT, 8000)),
            Host,
        ),
        ("redirect about a port of ours", quote(5, sent(RANGE.0)), Host),
        ("unreachable that quotes no ip", quote(3, sent(RANGE.0).first_byte(0x15)), Host),
        ("too big about a port of ours", quote6(2, sent6(RANGE.0)), IcmpError),
        ("unreachable over ipv6 about a port of ours", quote6(1, sent6(RANGE.1)), IcmpError),
        (
            "too big about a packet with extension headers",
            quote6(2, extended(sent6(RANGE.0), 8)),
            IcmpError,
        ),
        ("too big about a port of the host", quote6(2, sent6(40_000)), Host),
        (
            "too big about a ping of ours",
            quote6(2, v6(SHARED6, CLIENT6, ICMPV6, echo(128, IDENTIFIER))),
            IcmpError,
        ),
        ("informational icmpv6 that quotes a port of ours", quote6(130, sent6(RANGE.0)), Host),
    ]
}

fn shared6() -> Vec<Case> {
    let to = |dst| v6(CLIENT6, SHARED6, TCP, ports(4000, dst));
    let long = to(SERVICE_PORT).extension(AH).extension(HOP_BY_HOP).extension(ROUTING);
    vec![
        ("our port over ipv6", to(SERVICE_PORT).frame(), PortRange),
        ("ssh of the host over ipv6", to(22).frame(), Host),
        (
            "our port behind eight extension headers",
            extended(to(SERVICE_PORT), 8).frame(),
            PortRange,
        ),
        ("our port behind nine extension headers", extended(to(SERVICE_PORT), 9).frame(), Host),
        ("our port behind authentication and routing headers", long.frame(), PortRange),
        ("ssh behind extension headers", extended(to(22), 3).frame(), Host),
        (
            "our port in an atomic fragment",
            to(SERVICE_PORT).fragment(77, 0, false).frame(),
            PortRange,
        ),
        (
            "answer to a ping6 of ours",
            v6(CLIENT6, SHARED6, ICMPV6, echo(129, IDENTIFIER)).frame(),
            PortRange,
        ),
        (
            "ping6 of a shared address",
            v6(CLIENT6, SHARED6, ICMPV6, echo(128, IDENTIFIER)).frame(),
            Host,
        ),
        ("icmp in ipv6", v6(CLIENT6, SHARED6, ICMP, echo(0, IDENTIFIER)).frame(), Host),
    ]
}

fn fragments() -> Vec<Case> {
    let first = |id, port| v4(CLIENT, SHARED, UDP, ports(4000, port)).fragment(id, 0, true).frame();
    let later = |id| v4(CLIENT, SHARED, UDP, vec![0xee; 64]).fragment(id, 3, false).frame();
    let first6 = |id, port| v6(CLIENT6, SHARED6, UDP, ports(4000, port)).fragment(id, 0, true);
    let later6 = |id| v6(CLIENT6, SHARED6, UDP, vec![0xee; 64]).fragment(id, 3, true);
    let other_proto = v4(CLIENT, SHARED, TCP, vec![0xee; 64]).fragment(500, 3, false).frame();
    vec![
        ("a later fragment before the first", later(499), UnknownFragment),
        ("a first fragment to a port of ours", first(500, RANGE.0), PortRange),
        ("its later fragment", later(500), Fragment),
        ("a later fragment of another protocol", other_proto, UnknownFragment),
        ("a later fragment of another datagram", later(501), UnknownFragment),
        ("a first fragment of the host's with the same identification", first(500, 53), Host),
        ("a later fragment of the host's", later(500), UnknownFragment),
        (
            "a first fragment too short for ports",
            v4(CLIENT, SHARED, UDP, vec![0xff; 2]).fragment(502, 0, true).frame(),
            Host,
        ),
        ("what follows it", later(502), UnknownFragment),
        ("a later fragment over ipv6 before the first", later6(70_499).frame(), UnknownFragment),
        ("a first fragment over ipv6", first6(70_500, RANGE.0).frame(), PortRange),
        ("its later fragment over ipv6", later6(70_500).frame(), Fragment),
        (
            "its later fragment with another next header",
            v6(CLIENT6, SHARED6, TCP, vec![0; 16]).fragment(70_500, 9, false).frame(),
            Fragment,
        ),
        (
            "a first fragment behind options over ipv6",
            v6(CLIENT6, SHARED6, UDP, ports(4000, RANGE.0))
                .extension(ROUTING)
                .fragment(70_501, 0, true)
                .extension(DESTINATION_OPTIONS)
                .frame(),
            PortRange,
        ),
        (
            "its later fragment behind options",
            v6(CLIENT6, SHARED6, DESTINATION_OPTIONS, vec![0; 16])
                .extension(ROUTING)
                .fragment(70_501, 9, false)
                .frame(),
            Fragment,
        ),
        ("a first fragment of the host's over ipv6", first6(70_500, 53).frame(), Host),
        ("a later fragment of the host's over ipv6", later6(70_500).frame(), UnknownFragment),
    ]
}

fn nat() -> Vec<Case> {
    let reply = |src| tcp(BACKEND, CLIENT, src, 4000);
    let reply6 = |src| v6(BACKEND6, CLIENT6, TCP, ports(src, 4000));
    let about = |quoted: V4| v4(EXCLUDED, CLIENT, ICMP, icmp(3, [0; 4], &quoted.bytes())).frame();
    let about6 = |quoted: V6| v6(POD6, CLIENT6, ICMPV6, icmp(2, [0; 4], &quoted.bytes())).frame();
    vec![
        ("reply of a backend", reply(BACKEND_PORT).frame(), NatReply),
        ("first fragment of a reply", reply(BACKEND_PORT).fragment(8, 0, true).frame(), NatReply),
        ("later fragment from a backend", reply(1).fragment(8, 9, false).frame(), NatFragment),
        ("another port of a backend", reply(22).frame(), Other),
        (
            "another protocol of a backend",
            v4(BACKEND, CLIENT, UDP, ports(BACKEND_PORT, 4000)).frame(),
            Other,
        ),
        ("a request to a backend", tcp(CLIENT, BACKEND, 4000, BACKEND_PORT).frame(), Other),
        (
            "reply of a backend to the host",
            tcp(BACKEND, HOST_ONLY, BACKEND_PORT, 4000).frame(),
            Host,
        ),
        (
            "reply of a backend to an address of ours",
            tcp(BACKEND, WHOLE, BACKEND_PORT, 4000).frame(),
            Owned,
        ),
        ("reply of a backend by link broadcast", reply(BACKEND_PORT).frame_to(BROADCAST), Other),
        (
            "unreachable about a packet to a backend",
            about(tcp(CLIENT, BACKEND, 4000, BACKEND_PORT)),
            NatIcmpError,
        ),
        (
            "unreachable about another port of a backend",
            about(tcp(CLIENT, BACKEND, 4000, 22)),
            Other,
        ),
        ("unreachable about a reply of a backend", about(reply(BACKEND_PORT)), Other),
        (
            "unreachable about a later fragment to a backend",
            about(tcp(CLIENT, BACKEND, 4000, BACKEND_PORT).fragment(8, 9, true)),
            Other,
        ),
        ("reply of a backend over ipv6", reply6(BACKEND_PORT).frame(), NatReply),
        (
            "reply of a backend behind extension headers",
            extended(reply6(BACKEND_PORT), 8).frame(),
            NatReply,
        ),
        ("another port of a backend over ipv6", reply6(22).frame(), Other),
        (
            "too big about a packet to a backend",
            about6(v6(CLIENT6, BACKEND6, TCP, ports(4000, BACKEND_PORT))),
            NatIcmpError,
        ),
        (
            "too big about another port of a backend",
            about6(v6(CLIENT6, BACKEND6, TCP, ports(4000, 22))),
            Other,
        ),
    ]
}

fn egress() -> Vec<Case> {
    let pair = |src, dst| tcp(src, dst, 4000, 443);
    let pair6 = |src, dst| v6(src, dst, TCP, ports(4000, 443));
    vec![
        ("a covered pair", pair(POD, COVERED).frame(), Egress),
        ("a covered pair, ping", v4(POD, COVERED, ICMP, echo(8, 1)).frame(), Egress),
        (
            "a covered pair, later fragment",
            pair(POD, COVERED).fragment(4, 9, false).frame(),
            Egress,
        ),
        ("an excluded destination", pair(POD, EXCLUDED).frame(), Other),
        ("a source of no policy", pair(CLIENT, COVERED).frame(), Other),
        (
            "a source of a narrower policy that does not cover",
            pair(SPECIAL_POD, COVERED).frame(),
            Other,
        ),
        ("a source of a narrower policy that does", pair(SPECIAL_POD, EXCLUDED).frame(), Egress),
        ("a covered pair by link broadcast", pair(POD, COVERED).frame_to(BROADCAST), Other),
        ("from a pod to a backend on the host", pair(POD, BACKEND_HERE).frame(), Host),
        ("from a pod to the host", pair(POD, HOST_ONLY).frame(), Host),
        (
            "from a pod to the host on a shared address",
            pair(POD, SHARED).options(1).frame(),
            PortRange,
        ),
        ("from a pod to ssh on a shared address", tcp(POD, SHARED, 4000, 22).frame(), Host),
        ("from a pod to an address of ours", pair(POD, WHOLE).frame(), Owned),
        ("a covered pair over ipv6", pair6(POD6, COVERED6).frame(), Egress),
        (
            "a covered pair behind nine extension headers",
            extended(pair6(POD6, COVERED6), 9).frame(),
            Egress,
        ),
        ("an ipv6 destination that is not covered", pair6(POD6, CLIENT6).frame(), Other),
    ]
}

fn tcp(src: Ipv4Addr, dst: Ipv4Addr, src_port: u16, dst_port: u16) -> V4 {
    v4(src, dst, TCP, ports(src_port, dst_port))
}

fn extended(packet: V6, headers: usize) -> V6 {
    (0..headers).fold(packet, |packet, _| packet.extension(DESTINATION_OPTIONS))
}
