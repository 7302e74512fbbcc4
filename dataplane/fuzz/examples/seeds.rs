//! Writes the seed corpora into the directory that is named. `pipeline` gets one story for each
//! kind of packet, so that the fuzzer starts behind the first checks.

use std::path::PathBuf;
use std::{env, fs, io};

use portreeve_fuzz::script::{Step, What, write};
use portreeve_fuzz::world;

use portreeve_fuzz::packet::{fix_ipv4, ping, tcp, udp};
use portreeve_fuzz::pieces::cut;
use world::*;

/// Stories that go another way in each mode.
const IN_EVERY_MODE: [&str; 3] = ["tcp", "udp", "changes"];

fn main() -> io::Result<()> {
    let dir = PathBuf::from(env::args_os().nth(1).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "name the directory to write seeds into")
    })?);
    for (name, jumbo, story) in stories() {
        for (mode, prefix) in [(0, ""), (1, "nat-"), (2, "dsr-")] {
            if mode > 0 && !IN_EVERY_MODE.iter().any(|kind| name.starts_with(kind)) {
                continue;
            }
            // The world's size, and the mode of its services: see the target.
            let mut bytes = vec![u8::from(jumbo) | mode << 1];
            story.iter().for_each(|(port, what)| {
                write(&mut bytes, &Step { port: *port, finish: true, what: what.as_what() });
            });
            save(dir.join("pipeline"), &format!("{prefix}{name}"), &bytes)?;
        }
    }
    backends().iter().try_for_each(|(name, bytes)| save(dir.join("maglev"), name, bytes))
}

fn save(dir: PathBuf, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(&dir)?;
    fs::write(dir.join(name), bytes)
}

enum Act {
    Packet(Vec<u8>),
    Answer(Vec<u8>),
    Error(Vec<u8>),
    Change(u8),
}

impl Act {
    fn as_what(&self) -> What<'_> {
        match self {
            Self::Packet(bytes) => What::Packet(bytes),
            Self::Answer(edits) => What::Answer(edits),
            Self::Error(edits) => What::Error(edits),
            Self::Change(number) => What::Change(*number),
        }
    }
}

type Story = Vec<(usize, Act)>;

fn stories() -> Vec<(&'static str, bool, Story)> {
    let mut all = Vec::new();
    let families = [
        (CLIENT, VIP, ["tcp4", "udp4", "ping4", "small4", "other4", "changes4", "jumbo4", "odd4"]),
        (
            CLIENT6,
            VIP6,
            ["tcp6", "udp6", "ping6", "small6", "other6", "changes6", "jumbo6", "odd6"],
        ),
    ];
    for (client, vip, names) in families {
        let [connection, datagram, echo, small, other, changes, jumbo, odd] = names;
        all.push((connection, false, tcp_connection(client, vip)));
        all.push((datagram, false, udp_both_ways(client, vip)));
        all.push((echo, false, vec![(0, Act::Packet(ping(client, vip, b"payload")))]));
        all.push((small, false, too_big(client, vip, 1400)));
        all.push((other, false, unserved(client, vip)));
        all.push((changes, false, changed_tables(client, vip)));
        all.push((jumbo, true, too_big(client, vip, 8900)));
        all.push((odd, false, odd_packets(client, vip)));
    }
    for (client, vip, errors, fragments) in
        [(CLIENT, VIP, "errors4", "fragments4"), (CLIENT6, VIP6, "errors6", "fragments6")]
    {
        all.push((errors, false, errors_both_ways(client, vip)));
        all.push((fragments, false, out_of_order(client, vip)));
    }
    all.push(("arp", false, vec![(0, Act::Packet(arp_request()))]));
    all.push(("solicitation", false, vec![(0, Act::Packet(solicitation()))]));
    all
}

/// The offset of the TCP flags in an untagged frame without options, and bits to put there.
fn flags(vip: &str, bits: u8) -> Vec<u8> {
    vec![if vip == VIP { 14 + 20 + 13 } else { 14 + 40 + 13 }, bits]
}

fn tcp_connection(client: &str, vip: &str) -> Story {
    let segment =
        |letters, payload| (0, Act::Packet(tcp(0, (client, 4000), (vip, 80), letters, payload)));
    let answer = |bits| (1, Act::Answer(flags(vip, bits)));
    vec![
        segment("S", b""),
        answer(0x12),
        segment("A", b""),
        segment("AP", b"GET / HTTP/1.0\r\n\r\n"),
        answer(0x18),
        segment("AF", b""),
        answer(0x11),
        segment("A", b""),
        segment("R", b""),
    ]
}

fn udp_both_ways(client: &str, vip: &str) -> Story {
    let question = udp(0, (client, 4000), (vip, 53), b"question");
    vec![(0, Act::Packet(question.clone())), (1, Act::Answer(vec![])), (0, Act::Packet(question))]
}

/// Too big for the way out: fragmented, or answered.
fn too_big(client: &str, vip: &str, len: usize) -> Story {
    let payload = vec![0x5a; len];
    vec![
        (0, Act::Packet(udp(0, (client, 4000), (vip, 53), &payload))),
        (0, Act::Packet(tcp(0, (client, 4000), (vip, 80), "S", &payload))),
    ]
}

fn unserved(client: &str, vip: &str) -> Story {
    vec![
        (0, Act::Packet(tcp(0, (client, 4000), (vip, 81), "S", b""))),
        (0, Act::Packet(tcp(0, (client, 4000), (vip, 99), "S", b""))),
        (0, Act::Packet(udp(0, (client, 4000), (vip, 99), b"anyone?"))),
        (0, Act::Packet(tcp(0, (client, 4001), (vip, 80), "A", b"no flow"))),
    ]
}

fn changed_tables(client: &str, vip: &str) -> Story {
    let segment = |port, letters| (0, Act::Packet(tcp(0, (client, port), (vip, 80), letters, b"")));
    let mut story = vec![segment(4000, "S"), segment(4001, "S"), segment(4002, "S")];
    for number in [4, 5, 0, 1, 2] {
        story.push((0, Act::Change(number)));
        story.extend([segment(4000, "A"), segment(4001, "A"), segment(4003, "S")]);
        story.push((1, Act::Answer(flags(vip, 0x12))));
    }
    story.push((0, Act::Change(3)));
    story
}

/// IP options, extension headers, fragments, a hop count of one, and an ICMP error.
fn odd_packets(client: &str, vip: &str) -> Story {
    let plain = udp(0, (client, 4000), (vip, 53), b"question");
    let mut last_hop = plain.clone();
    let mut fragment = plain.clone();
    let mut options = plain.clone();
    if vip == VIP {
        last_hop[14 + 8] = 1;
        fragment[14 + 6] |= 0x20;
        options.splice(14 + 20..14 + 20, [1; 4]);
        options[14] = 0x46;
        options[14 + 3] += 4;
        [&mut last_hop, &mut fragment, &mut options].into_iter().for_each(|p| fix_ipv4(p));
    } else {
        last_hop[14 + 7] = 1;
        fragment.splice(14 + 40..14 + 40, [17, 0, 0, 1, 0, 0, 0, 7]);
        options.splice(14 + 40..14 + 40, [17, 0, 1, 4, 0, 0, 0, 0]);
        for (packet, header) in [(&mut fragment, 44), (&mut options, 60)] {
            packet[14 + 5] += 8;
            packet[14 + 6] = header;
        }
    }
    let mut error = ping(client, vip, &plain[14..]);
    let kind = if vip == VIP { 14 + 20 } else { 14 + 40 };
    error[kind..kind + 2].copy_from_slice(if vip == VIP { &[3, 3] } else { &[1, 4] });
    [last_hop, fragment, options, error].map(|packet| (0, Act::Packet(packet))).into()
}

/// A datagram and its answer, and what routers say of both.
fn errors_both_ways(client: &str, vip: &str) -> Story {
    vec![
        (0, Act::Packet(udp(0, (client, 4000), (vip, 53), b"question"))),
        (1, Act::Error(vec![])),
        (1, Act::Answer(vec![])),
        (0, Act::Error(vec![])),
    ]
}

/// The fragments of a datagram, the first one in the middle.
fn out_of_order(client: &str, vip: &str) -> Story {
    let pieces = cut(&udp(0, (client, 4000), (vip, 53), &[7; 3_000]), 1_024, 9);
    [2, 0, 1].map(|at| (0, Act::Packet(pieces[at].clone()))).into()
}

fn arp_request() -> Vec<u8> {
    let mut frame = [&[0xff; 6][..], &CLIENT_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
    frame.extend(CLIENT_MAC);
    frame.extend(addr(CLIENT).v4_octets());
    frame.extend([0; 6]);
    frame.extend(addr(VIP).v4_octets());
    frame
}

/// A neighbour solicitation for the IPv6 VIP (RFC 4861 section 4.3), with the sender's MAC.
fn solicitation() -> Vec<u8> {
    let options = [&addr(VIP6).octets()[..], &[1, 1], &CLIENT_MAC].concat();
    let group = addr("ff02::1:ff00:100");
    let mut frame = Vec::new();
    etherparse::PacketBuilder::ethernet2(CLIENT_MAC, [0x33, 0x33, 0xff, 0, 1, 0])
        .ipv6(*addr(CLIENT6).octets(), *group.octets(), 255)
        .icmpv6_raw(135, 0, [0; 4])
        .write(&mut frame, &options)
        .expect("a vector takes all");
    frame
}

/// Three seeds: equal weights, other weights, one backend.
fn backends() -> [(&'static str, Vec<u8>); 3] {
    let seeded = |weights: &[u16]| {
        let mut bytes = b"twelve bytes".to_vec();
        for (index, weight) in (0..).zip(weights) {
            bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, index]);
            bytes.extend([0x1f, 0x90, index]);
            bytes.extend(weight.to_be_bytes());
        }
        bytes
    };
    [
        ("equal", seeded(&[100; 9])),
        ("mixed", seeded(&[1, 300, 0, 65_535, 7])),
        ("one", seeded(&[2])),
    ]
}
