use std::collections::HashSet;
use std::num::NonZeroU16;

use portreeve_dataplane::addr::Proto;
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::tables::flow_hash::flow_hash;

use super::*;

const MODES: [Mode; 3] = [Mode::Snat, Mode::Nat, Mode::DsrL2];

fn world_with(mode: Mode, policy: impl Fn(&mut Policy)) -> World {
    let mut world = World::new();
    world.change(|tables| in_mode(tables, mode, policy));
    world
}

#[test]
fn a_client_with_affinity_has_one_backend_as_cilium_would_have_it() {
    for mode in MODES {
        for (family, (client, vip)) in FAMILIES.into_iter().enumerate() {
            let mut world = world_with(mode, |policy| policy.by_client = true);
            let tables = Arc::clone(&world.publisher.current().frontends);
            let frontend = tables.get(FrontendId::new(family as u32 * 3, 0)).unwrap();
            let hash = flow_hash(&Tables::default().seeds, addr(client), 0, 80, Proto::Tcp);
            let id = frontend.maglev.as_ref().unwrap().select(hash);
            let macs: HashSet<_> =
                (4000..4050).map(|port| open(&mut world, (client, port), vip).dst_mac).collect();
            assert_eq!(macs, HashSet::from([BACKEND_MACS[id.index() % 2]]), "{mode:?} {client}");
        }
        let mut world = world_with(mode, |_| {});
        let macs: HashSet<_> =
            (4000..4050).map(|port| open(&mut world, (CLIENT, port), VIP).dst_mac).collect();
        assert_eq!(macs.len(), 2, "without affinity");
    }
}

#[test]
fn clients_with_affinity_are_spread() {
    let mut world = world_with(Mode::Nat, |policy| policy.by_client = true);
    let macs: HashSet<_> =
        (1..100).map(|n| open(&mut world, (&format!("10.0.0.{n}"), 4000), VIP).dst_mac).collect();
    assert_eq!(macs.len(), 2);
}

#[test]
fn a_denied_client_is_dropped_in_silence_in_the_middle_of_a_flow_too() {
    for mode in MODES {
        let mut world = world_with(mode, |_| {});
        open(&mut world, (CLIENT, 4000), VIP);
        world.change(|tables| {
            in_mode(tables, mode, |policy| {
                let deny = ["10.0.0.0/28".parse().unwrap()];
                policy.sources = Sources::new(&[], &deny).map(Box::new);
            });
        });
        for flags in ["S", "A"] {
            assert!(world.send(0, &tcp(0, (CLIENT, 4000), (VIP, 80), flags, b"")).is_empty());
        }
        assert_eq!(world.drops(DropReason::SourceDenied), 2, "{mode:?}");
        open(&mut world, ("10.0.0.99", 4000), VIP);
        world.assert_conserved();
    }
}

/// A SYN with the MSS option, behind `before`.
fn syn(port: usize, src: End<'_>, dst: End<'_>, flags: &str, before: &[u8], mss: u16) -> Vec<u8> {
    let mut frame = tcp(port, src, dst, flags, &[]);
    let v6 = frame[12..14] == [0x86, 0xdd];
    let l4 = if v6 { L3 + 40 } else { L3 + 20 };
    let mut options = before.to_vec();
    options.extend([2, 4]);
    options.extend(mss.to_be_bytes());
    options.resize(options.len().next_multiple_of(4), 0);
    frame[l4 + 12] += (options.len() as u8 / 4) << 4;
    frame.extend(&options);
    let (total, at) = match v6 {
        true => (frame.len() - L3 - 40, L3 + 4),
        false => (frame.len() - L3, L3 + 2),
    };
    frame[at..at + 2].copy_from_slice(&(total as u16).to_be_bytes());
    if !v6 {
        fix_ipv4(&mut frame);
    }
    finish_tcp(&mut frame, l4);
    frame
}

fn finish_tcp(frame: &mut [u8], l4: usize) {
    let addresses = if l4 == L3 + 40 { L3 + 8..L3 + 40 } else { L3 + 12..L3 + 20 };
    frame[l4 + 16..l4 + 18].fill(0);
    let mut words = frame[addresses].to_vec();
    words.extend([0, 6]);
    words.extend(((frame.len() - l4) as u16).to_be_bytes());
    words.extend(&frame[l4..]);
    let mut sum: u32 = words.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[l4 + 16..l4 + 18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// The MSS that a frame announces, and whether its checksum is right (`read` looks at it).
fn mss_of(frame: &[u8]) -> Option<u16> {
    read(frame);
    let sliced = etherparse::SlicedPacket::from_ethernet(frame).unwrap();
    let Some(etherparse::TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
    tcp.options_iterator().find_map(|option| match option {
        Ok(etherparse::TcpOptionElement::MaximumSegmentSize(mss)) => Some(mss),
        _ => None,
    })
}

#[test]
fn a_syn_announces_at_most_the_services_mss() {
    for mode in MODES {
        for (client, vip) in FAMILIES {
            for (before, announced, want) in [
                (&[][..], 1460, 1300),
                (&[1], 1460, 1300),
                (&[1, 1, 1], 9000, 1300),
                (&[4, 2], 1300, 1300),
                (&[3, 3, 7], 536, 536),
            ] {
                let mut world = world_with(mode, |policy| policy.mss = NonZeroU16::new(1300));
                let frame = syn(0, (client, 4000), (vip, 80), "S", before, announced);
                for _ in 0..2 {
                    let sent = world.send(0, &frame);
                    assert_eq!(mss_of(&sent[0].1), Some(want), "{mode:?} {before:?}");
                }
            }
            let mut world = world_with(mode, |policy| policy.mss = NonZeroU16::new(1300));
            let sent = world.send(0, &tcp(0, (client, 4000), (vip, 80), "S", b""));
            assert_eq!(mss_of(&sent[0].1), None, "one that announces nothing");
        }
    }
}

#[test]
fn so_does_the_answer_to_it() {
    for mode in [Mode::Snat, Mode::Nat] {
        for (client, vip) in FAMILIES {
            let mut world = world_with(mode, |policy| policy.mss = NonZeroU16::new(1300));
            let opened = open(&mut world, (client, 4000), vip);
            let (source, backend) = (text(opened.src), text(opened.dst));
            let to = (source.as_str(), tcp_of(&opened).0);
            let answer = syn(1, (&backend, 8080), to, "SA", &[1], 1460);
            let sent = world.send(1, &answer);
            assert_eq!(mss_of(&sent[0].1), Some(1300), "{mode:?} {client}");
            let data = world.send(1, &tcp(1, (&backend, 8080), to, "A", b"data"));
            read(&data[0].1);
        }
    }
}
