//! Addresses that are held and released: who answers for them, and what is forwarded meanwhile.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::connections::Connection;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use portreeve_tests::sniffer::{Sniffer, addresses};
use portreeve_tests::snmp::KernelCounters;

const LINGER: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(5);

fn config(at_start: &str) -> String {
    let both = |at: usize| {
        service(seed::VIPS[at], &seed::SERVERS, "{ port = 80 }")
            + &service(seed::VIPS_V6[at], &seed::SERVERS_V6, "{ port = 80 }")
    };
    let linger = LINGER.as_secs();
    format!("[gateway]\nvips_at_start = \"{at_start}\"\nlinger = \"{linger}s\"\n")
        + &ports(&seed::PORTS)
        + &both(0)
        + &both(1)
}

fn to(vip: &str) -> Result<SocketAddr> {
    Ok(SocketAddr::new(vip.parse()?, seed::HTTP))
}

/// Whether somebody answers a new question for the address on the client's link.
fn is_answered(net: &SeedLab, vip: &str) -> Result<bool> {
    net.client.ip(&["neigh", "flush", "dev", "ens5"])?;
    let family = if vip.contains(':') { "-6" } else { "-4" };
    let ran = net.client.run("ping", &[family, "-c", "1", "-W", "1", vip])?;
    Ok(ran.success)
}

/// Gratuitous ARP and unsolicited advertisements for an address, as the client sees them.
fn announcements(net: &SeedLab, vip: &str) -> Result<Sniffer> {
    let vip: IpAddr = vip.parse()?;
    Sniffer::start(&net.client, "ens5", move |frame| {
        let arp = frame.get(12..14) == Some(&[8, 6]) && addresses(frame) == Some((vip, vip));
        let nd =
            frame.get(54) == Some(&136) && addresses(frame).is_some_and(|(from, _)| from == vip);
        arp || nd
    })
}

fn hold_of(net: &SeedLab, appliance: &Appliance, vip: &str) -> Result<String> {
    let services = appliance.json(&net.gateway, &["services"])?;
    let all = services.as_array().context("services is no list")?;
    let service = all.iter().find(|service| service["vip"] == vip).context("no such VIP")?;
    Ok(service["hold"].as_str().context("no hold")?.to_owned())
}

#[test]
fn a_released_vip_is_silent_at_once_and_forwarded_for_a_while() -> Result<()> {
    if !has_root("a_released_vip_is_silent_at_once_and_forwarded_for_a_while") {
        return Ok(());
    }
    let lab = Lab::new("lb_vip")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &config("held"))?;
    let vip = |args: &[&str]| appliance.cli(&net.gateway, &[&["vip"], args].concat())?.ok();
    for (at, address) in [seed::VIPS[0], seed::VIPS_V6[0]].into_iter().enumerate() {
        let other = [seed::VIPS[1], seed::VIPS_V6[1]][at];
        ensure!(is_answered(&net, address)? && is_answered(&net, other)?, "held at start");
        let mut connection = Connection::open(&net.client, to(address)?)?;
        let kernel = KernelCounters::read(&net.gateway)?;
        let released = Instant::now();
        let said = vip(&["release", address])?;
        ensure!(said == format!("{address} lingers\n"), "{said}");
        // The client still has the entry: its packets come, and are forwarded.
        while released.elapsed() < LINGER - Duration::from_millis(500) {
            connection.ask().context("while the VIP lingers")?;
        }
        Connection::open(&net.client, to(address)?).context("a new one while it lingers")?;
        ensure!(!is_answered(&net, address)?, "{address} is answered for after its release");
        ensure!(is_answered(&net, other)?, "{other} was not released");
        kernel.stood_by(&net.gateway)?;

        let deadline = Instant::now() + PATIENCE;
        while hold_of(&net, &appliance, address)? != "released" {
            ensure!(Instant::now() < deadline, "it lingers on");
            std::thread::sleep(Duration::from_millis(20));
        }
        ensure!(released.elapsed() >= LINGER, "it did not linger");
        let status = appliance.json(&net.gateway, &["status"])?;
        ensure!(status["released"][0]["address"] == address, "{status}");

        let sniffer = announcements(&net, address)?;
        let said = vip(&["hold", address])?;
        ensure!(said == format!("{address} held\n"), "{said}");
        ensure!(is_answered(&net, address)?, "{address} is silent though held");
        connection.ask().context("a flow from before the move")?;
        // Somebody who has reason to asks again: the link is told again.
        vip(&["hold", address])?;
        let seen = sniffer.stop()?;
        ensure!(seen.matching >= 2, "{} announcements", seen.matching);
    }
    Ok(())
}

#[test]
fn what_was_said_of_vips_outlives_a_reload_and_not_a_restart() -> Result<()> {
    if !has_root("what_was_said_of_vips_outlives_a_reload_and_not_a_restart") {
        return Ok(());
    }
    let lab = Lab::new("lb_vip_reload")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let mut appliance = Appliance::start(&net.gateway, &config("released"))?;
    let vip = |appliance: &Appliance, args: &[&str]| {
        appliance.cli(&net.gateway, &[&["vip"], args].concat())
    };
    ensure!(!is_answered(&net, seed::VIPS[0])?, "answered for from the start");
    ensure!(hold_of(&net, &appliance, seed::VIPS[0])? == "released");
    vip(&appliance, &["hold", "all"])?.ok()?;
    ensure!(is_answered(&net, seed::VIPS[0])?, "silent though held");
    vip(&appliance, &["release", seed::VIPS[1]])?.ok()?;

    let third = service(seed::VIPS[2], &seed::SERVERS, "{ port = 80 }");
    appliance.reload(&(config("released") + &third))?;
    ensure!(is_answered(&net, seed::VIPS[0])?, "a reload has released it");
    ensure!(is_answered(&net, seed::VIPS[2])?, "all were held, and a new one is not");
    ensure!(!is_answered(&net, seed::VIPS[1])?, "a reload has taken it back");

    appliance.restart(&net.gateway)?;
    ensure!(!is_answered(&net, seed::VIPS[0])?, "held after a restart");
    let refused = vip(&appliance, &["hold", "10.10.200.77"])?;
    ensure!(refused.code == Some(1) && refused.stderr.contains("10.10.200.77"), "{refused:?}");
    Ok(())
}
