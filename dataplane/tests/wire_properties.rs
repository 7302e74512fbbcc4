//! Every header against an implementation that is not ours: what it writes we read, and what we
//! write it reads.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use etherparse::{Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};
use portreeve_dataplane::addr::{Addr, Mac};
use portreeve_dataplane::wire::ipv6::Upper;
use portreeve_dataplane::wire::tcp::Flags;
use portreeve_dataplane::wire::{arp, checksum, eth, icmp, ipv4, ipv6, ndp, tcp, udp};
use proptest::prelude::*;
use zerocopy::{FromBytes, IntoBytes};

proptest! {
    #[test]
    fn ethernet(dst: [u8; 6], src: [u8; 6], ethertype: u16) {
        let theirs = Ethernet2Header { source: src, destination: dst, ether_type: ethertype.into() };
        let bytes = theirs.to_bytes();
        let ours = eth::Eth::read_from_bytes(&bytes).unwrap();
        prop_assert_eq!((ours.dst, ours.src, ours.ethertype.get()), (dst, src, ethertype));
        prop_assert_eq!(ours.as_bytes(), &bytes);
    }

    #[test]
    fn ipv4_fields_and_checksum(
        src: [u8; 4], dst: [u8; 4], ttl: u8, tos in 0_u8..64, id: u16, payload in 0_u16..1400, df: bool,
    ) {
        let mut theirs = Ipv4Header::new(payload, ttl, IpNumber::UDP, src, dst).unwrap();
        theirs.dscp = etherparse::IpDscp::try_new(tos).unwrap();
        theirs.identification = id;
        theirs.dont_fragment = df;
        theirs.header_checksum = theirs.calc_header_checksum();
        let mut bytes = theirs.to_bytes().to_vec();
        let ours = ipv4::Ipv4::read_from_bytes(&bytes).unwrap();
        prop_assert_eq!((ours.src, ours.dst, ours.ttl, ours.id.get()), (src, dst, ttl, id));
        prop_assert_eq!(ours.total_len.get(), 20 + payload);
        prop_assert_eq!(ours.header_len(), 20);
        prop_assert_eq!(ours.fragment.get() & ipv4::DF != 0, df);
        prop_assert_eq!(checksum::fold(checksum::sum(&bytes)), 0xffff);
        bytes[10..12].fill(0xaa);
        ipv4::finish_header(&mut bytes);
        prop_assert_eq!(&bytes[..], &theirs.to_bytes()[..]);
    }

    #[test]
    fn our_own_ipv4_header_is_read_by_others(src: [u8; 4], dst: [u8; 4], len in 20_u16..1500) {
        let ours = ipv4::Ipv4::new(src, dst, 6, len);
        let (theirs, _) = Ipv4Header::from_slice(ours.as_bytes()).unwrap();
        prop_assert_eq!(theirs.header_checksum, theirs.calc_header_checksum());
        prop_assert_eq!((theirs.source, theirs.destination, theirs.total_len), (src, dst, len));
        prop_assert!(theirs.dont_fragment);
    }

    #[test]
    fn ipv6_fields(src: [u8; 16], dst: [u8; 16], hops: u8, len: u16) {
        let theirs = Ipv6Header {
            payload_length: len,
            next_header: IpNumber::TCP,
            hop_limit: hops,
            source: src,
            destination: dst,
            ..Ipv6Header::default()
        };
        let bytes = theirs.to_bytes();
        let ours = ipv6::Ipv6::new(src, dst, 6, len, hops);
        prop_assert_eq!(ours.as_bytes(), &bytes);
    }

    #[test]
    fn extension_headers_are_walked_to_the_transport(
        kinds in proptest::collection::vec(prop_oneof![Just(0_u8), Just(43), Just(60)], 0..8),
        units in proptest::collection::vec(0_u8..4, 8),
    ) {
        let mut packet = vec![0; ipv6::LEN];
        for (i, _) in kinds.iter().enumerate() {
            let next = kinds.get(i + 1).copied().unwrap_or(17);
            packet.extend([next, units[i]]);
            packet.resize(packet.len() + 6 + usize::from(units[i]) * 8, 0);
        }
        let first = kinds.first().copied().unwrap_or(17);
        let found = ipv6::walk(&packet, first);
        prop_assert_eq!(found, Ok(Upper::Transport { proto: 17, offset: packet.len() }));
        for cut in ipv6::LEN..packet.len().saturating_sub(8) {
            // However it is cut, the walk ends without reading beyond.
            let _ = ipv6::walk(&packet[..cut], first);
        }
    }

    #[test]
    fn tcp_fields(src: u16, dst: u16, seq: u32, window: u16, flags in 0_u8..64) {
        let mut theirs = TcpHeader::new(src, dst, seq, window);
        theirs.fin = flags & 1 != 0;
        theirs.syn = flags & 2 != 0;
        theirs.rst = flags & 4 != 0;
        theirs.psh = flags & 8 != 0;
        theirs.ack = flags & 16 != 0;
        theirs.urg = flags & 32 != 0;
        let bytes = theirs.to_bytes();
        let ours = tcp::Tcp::read_from_bytes(&bytes).unwrap();
        prop_assert_eq!((ours.src.get(), ours.dst.get(), ours.seq.get()), (src, dst, seq));
        prop_assert_eq!((ours.flags, ours.offset >> 4, ours.window.get()), (flags, 5, window));
        let opens = theirs.syn && !theirs.ack && !theirs.rst && !theirs.fin;
        prop_assert_eq!(Flags(flags).opens(), opens);
        prop_assert_eq!(ours.as_bytes(), &bytes[..]);
    }

    #[test]
    fn udp_checksum_as_others_compute_it(
        src: [u8; 4], dst: [u8; 4], payload in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let ip = Ipv4Header::new(8 + payload.len() as u16, 64, IpNumber::UDP, src, dst).unwrap();
        let theirs = UdpHeader::with_ipv4_checksum(1, 2, &ip, &payload).unwrap();
        let mut bytes = theirs.to_bytes().to_vec();
        let ours = udp::Udp::read_from_bytes(&bytes).unwrap();
        prop_assert_eq!((ours.src.get(), ours.dst.get(), usize::from(ours.len.get())), (1, 2, 8 + payload.len()));
        bytes[udp::CHECKSUM..].fill(0);
        let len = bytes.len() + payload.len();
        let mut sum = checksum::Chained::from(
            checksum::pseudo(&Addr::v4(src), &Addr::v4(dst), 17, len as u16),
        );
        sum.add(&bytes);
        sum.add(&payload);
        let expected = if !sum.fold() == 0 { 0xffff } else { !sum.fold() };
        prop_assert_eq!(expected, theirs.checksum);
    }

    #[test]
    fn icmp_fields(kind: u8, code: u8, id: u16, seq: u16) {
        let bytes = [&[kind, code, 0, 0][..], &id.to_be_bytes(), &seq.to_be_bytes()].concat();
        let ours = icmp::Icmp::read_from_bytes(&bytes).unwrap();
        prop_assert_eq!((ours.kind, ours.code), (kind, code));
        prop_assert_eq!((ours.word1.get(), ours.word2.get()), (id, seq));
    }

    #[test]
    fn arp_is_read_by_others(mac: [u8; 6], ip: [u8; 4], target: [u8; 4]) {
        let ours = arp::Arp::new(arp::REQUEST, (Mac(mac), ip), (Mac::default(), target));
        let theirs = etherparse::ArpPacketSlice::from_slice(ours.as_bytes()).unwrap();
        prop_assert_eq!(theirs.sender_hw_addr(), &mac);
        prop_assert_eq!(theirs.sender_protocol_addr(), &ip);
        prop_assert_eq!(theirs.target_protocol_addr(), &target);
        prop_assert!(ours.is_ipv4());
    }

    #[test]
    fn solicited_node_groups_end_like_their_address(target: [u8; 16]) {
        let group = ndp::solicited_node(target);
        prop_assert_eq!(&group[..13], &[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]);
        prop_assert_eq!(&group[13..], &target[13..]);
    }
}
