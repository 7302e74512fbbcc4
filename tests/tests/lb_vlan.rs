//! Frames with an 802.1Q tag from a host on the link, as raw frames: this needs no VLAN device.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::curl;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::raw_port::RawPort;
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;

const PATIENCE: Duration = Duration::from_secs(10);
/// Until a question is asked again.
const AGAIN: Duration = Duration::from_millis(200);
const VLAN: u16 = 7;

fn tagged(dst: [u8; 6], src: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = VLAN.to_be_bytes();
    let ethertype = ethertype.to_be_bytes();
    let mut frame = [&dst[..], &src, &[0x81, 0, high, low], &ethertype, payload].concat();
    frame.resize(frame.len().max(64), 0);
    frame
}

fn who_has(own: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let sender = sender.octets();
    let body = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &own, &sender, &[0; 6], &target.octets()].concat();
    tagged([0xff; 6], own, 0x0806, &body)
}

fn datagram(macs: ([u8; 6], [u8; 6]), src: Ipv4Addr, dst: Ipv4Addr) -> Vec<u8> {
    let payload = b"in VLAN 7";
    let len = (8 + payload.len()) as u16;
    // Without a checksum (RFC 768).
    let udp = [&4000_u16.to_be_bytes()[..], &seed::ECHO.to_be_bytes(), &len.to_be_bytes(), &[0; 2]];
    let mut ip = vec![0x45, 0];
    ip.extend((20 + len).to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    ip.extend(src.octets());
    ip.extend(dst.octets());
    let words = ip.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = !((folded & 0xffff) + (folded >> 16)) as u16;
    ip[10..12].copy_from_slice(&folded.to_be_bytes());
    tagged(macs.0, macs.1, 0x0800, &[&ip[..], &udp.concat(), payload].concat())
}

#[test]
fn a_tagged_question_is_answered_with_its_tag_and_a_tagged_request_is_forwarded() -> Result<()> {
    if !has_root("a_tagged_question_is_answered_with_its_tag_and_a_tagged_request_is_forwarded") {
        return Ok(());
    }
    let lab = Lab::new("lb_vlan")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let vip = seed::VIPS[0];
    let both = "{ port = 80 }, { port = 7, protocol = \"udp\" }";
    let config = ports(&seed::PORTS) + &service(vip, &seed::SERVERS, both);
    let appliance = Appliance::start(&net.gateway, &config)?;
    for port in seed::PORTS {
        let features = net.gateway.run("ethtool", &["-k", port])?.ok()?;
        ensure!(features.contains("rx-vlan-offload: off"), "{port}: {features}");
    }

    let own = net.client.mac_bytes("ens5")?;
    let (client, address) = (seed::CLIENT.parse()?, vip.parse()?);
    let gateway = net.gateway.mac_bytes(seed::PORTS[0])?;
    let port = RawPort::open(&net.client, "ens5")?;
    // What ends when the answer has come, and what makes it come.
    let exchanges = [
        (format!("vlan {VLAN} and arp[6:2] = 2 and arp src {vip}"), who_has(own, client, address)),
        // The way back is a route without a tag: there is no VLAN device on the gateway.
        (
            format!("udp and src host {vip} and src port 7 and not vlan"),
            datagram((gateway, own), client, address),
        ),
    ];
    for (expected, question) in exchanges {
        let mut command = Command::new("tcpdump");
        command.args(["--immediate-mode", "-n", "-i", "ens5", "-c", "1", "-Q", "in", &expected]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let tcpdump = net.client.spawn(command)?;
        let deadline = Instant::now() + PATIENCE;
        let seen = loop {
            port.send(std::slice::from_ref(&question))?;
            match tcpdump.wait_exit(AGAIN) {
                Ok(status) => break status,
                Err(_) if Instant::now() < deadline => {}
                Err(_) => return appliance.explain(&net.gateway, Err(anyhow::anyhow!(expected))),
            }
        };
        ensure!(seen.success(), "tcpdump {expected}: {seen}");
    }
    let answers = curl::get(&net.client, &[format!("http://{vip}/")])?;
    ensure!(answers.iter().all(curl::Answer::is_good), "and without a tag as ever: {answers:?}");
    Ok(())
}
