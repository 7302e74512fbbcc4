//! Next hops and our own answers: neighbours that come, move and do not exist; where a VIP is
//! announced; what is said of ports that nobody serves.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::connections::Connection;
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use portreeve_tests::sniffer::{Sniffer, addresses};
use portreeve_tests::snmp::KernelCounters;

/// Sooner than a lost SYN is sent again (1 s).
const AT_ONCE: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(5);
/// The kernel notices that a neighbour has another MAC by asking it a few times.
const MOVED: Duration = Duration::from_secs(30);
/// An address of the first server's subnet that nobody has.
const NOBODY: &str = "172.16.1.200";
const VIPS: [[&str; 2]; 3] = [
    [seed::VIPS[0], seed::VIPS_V6[0]],
    [seed::VIPS[1], seed::VIPS_V6[1]],
    [seed::VIPS[2], seed::VIPS_V6[2]],
];
/// The gateway's own addresses towards the client.
const GATEWAY: [&str; 2] = ["10.10.200.5", "fd00:10:10:200::5"];

/// One service per VIP, in both families; `more` stands in each of them, by its number.
fn config(more: [&str; 3], backends: [[&str; 2]; 3]) -> String {
    let mut text = String::new();
    for port in seed::PORTS {
        text += &format!("[[port]]\nname = \"{port}\"\n");
    }
    for at in 0..3 {
        for (vip, backend) in VIPS[at].iter().zip(backends[at]) {
            let backends =
                if backend.is_empty() { String::new() } else { format!("\"{backend}\"") };
            text += &format!(
                "[[service]]\nname = \"svc{}-{}\"\nvip = \"{vip}\"\n{}\n\
                 ports = [{{ port = 80 }}, {{ port = 7, protocol = \"udp\" }}]\n\
                 backends = [{backends}]\n",
                at + 1,
                if vip.contains(':') { "v6" } else { "v4" },
                more[at]
            );
        }
    }
    text
}

const FIRST: [&str; 2] = [seed::SERVERS[0], seed::SERVERS_V6[0]];
const SECOND: [&str; 2] = [seed::SERVERS[1], seed::SERVERS_V6[1]];

fn plain() -> String {
    config([""; 3], [FIRST, SECOND, FIRST])
}

fn at(address: &str, port: u16) -> Result<SocketAddr> {
    Ok(SocketAddr::new(address.parse()?, port))
}

/// Connects and says how long that took.
fn connect(
    host: &Host,
    to: SocketAddr,
    timeout: Duration,
) -> Result<(std::io::Result<()>, Duration)> {
    host.enter(|| {
        let began = Instant::now();
        let connected = TcpStream::connect_timeout(&to, timeout).map(drop);
        (connected, began.elapsed())
    })
}

/// Repeats `look` until it finds something.
fn eventually<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = Instant::now();
    while began.elapsed() < limit {
        if let Some(found) = look()? {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("{what}: not within {limit:?}")
}

fn drops(net: &SeedLab, appliance: &Appliance, reason: &str) -> Result<u64> {
    let status = appliance.json(&net.gateway, &["status"])?;
    status["drops"][reason].as_u64().with_context(|| format!("no drop reason {reason}"))
}

/// The frames of `interface` for which `pick` holds, as they go by.
fn frames(
    host: &Host,
    interface: &str,
    pick: impl Fn(&[u8]) -> bool + Send + 'static,
) -> Result<(Sniffer, Receiver<Vec<u8>>)> {
    let (tell, told) = mpsc::channel();
    let sniffer = Sniffer::start(host, interface, move |frame| {
        let picked = pick(frame);
        if picked {
            // Nobody may listen any more.
            let _ = tell.send(frame.to_vec());
        }
        picked
    })?;
    Ok((sniffer, told))
}

/// Type and the rest of an ICMP or ICMPv6 message.
fn icmp(frame: &[u8]) -> Option<(u8, &[u8])> {
    let message = match (frame.get(12..14)?, frame.get(23)?, frame.get(20)?) {
        ([0x08, 0x00], 1, _) => frame.get(34..)?,
        ([0x86, 0xdd], _, 58) => frame.get(54..)?,
        _ => return None,
    };
    message.split_first().map(|(kind, rest)| (*kind, rest))
}

#[test]
fn the_first_packet_to_an_unknown_neighbour_waits_and_goes() -> Result<()> {
    if !has_root("the_first_packet_to_an_unknown_neighbour_waits_and_goes") {
        return Ok(());
    }
    let lab = Lab::new("lb_unknown_hop")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &plain())?;
    for (vip, client) in VIPS[0].iter().zip([seed::CLIENT, seed::CLIENT_V6]) {
        let known = net.gateway.neighbour(client)?;
        ensure!(known.is_none(), "the gateway knows {client} at {known:?} before it is needed");
        let (connected, took) = connect(&net.client, at(vip, 80)?, SOON)?;
        connected.with_context(|| format!("connect to {vip}\n{}", appliance.log_tail()))?;
        ensure!(took < AT_ONCE, "{vip} took {took:?}: the first answer was lost");
        println!("first connection to {vip}, neighbour unknown: {took:?}");
        ensure!(net.gateway.neighbour(client)?.is_some(), "who answered then?");
    }
    ensure!(drops(&net, &appliance, "hop_unresolved")? == 0);
    Ok(())
}

/// Gives the first server another MAC and awaits that both families are served again, new
/// connections and old ones.
fn follows_a_move(net: &SeedLab) -> Result<()> {
    let mut kept = Vec::new();
    for vip in VIPS[0] {
        kept.push(Connection::open(&net.client, at(vip, 80)?)?);
    }
    let moved = "02:70:72:ff:00:01";
    net.servers[0].ip_batch(&format!("link set ens5 address {moved}"))?;
    let began = Instant::now();
    for vip in VIPS[0] {
        let to = at(vip, 80)?;
        eventually(&format!("{vip} answers again"), MOVED, || {
            let (connected, _) = connect(&net.client, to, AT_ONCE)?;
            Ok(connected.ok())
        })?;
        println!("{vip} answers again after {:?}", began.elapsed());
    }
    for backend in FIRST {
        ensure!(net.gateway.neighbour(backend)?.as_deref() == Some(moved), "{backend}");
    }
    for connection in &mut kept {
        let server = connection.ask().context("an established connection")?;
        ensure!(server == connection.server, "another server: {server}");
    }
    Ok(())
}

#[test]
fn a_backend_that_tells_of_its_new_mac_is_followed() -> Result<()> {
    if !has_root("a_backend_that_tells_of_its_new_mac_is_followed") {
        return Ok(());
    }
    let lab = Lab::new("lb_moved")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    net.servers[0].sysctl("net.ipv4.conf.ens5.arp_notify", "1")?;
    net.servers[0].sysctl("net.ipv6.conf.ens5.ndisc_notify", "1")?;
    let _appliance = Appliance::start(&net.gateway, &plain())?;
    follows_a_move(&net)
}

/// Our packets tell the kernel nothing of its neighbours, so it has to ask them by itself.
#[test]
fn a_backend_that_changes_its_mac_in_silence_is_found_again() -> Result<()> {
    if !has_root("a_backend_that_changes_its_mac_in_silence_is_found_again") {
        return Ok(());
    }
    let lab = Lab::new("lb_moved_silently")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    for family in ["ipv4", "ipv6"] {
        // The kernel's own patience, by default up to a minute in all.
        let timers = [
            ("base_reachable_time_ms", "2000"),
            ("delay_first_probe_time", "1"),
            ("interval_probe_time_ms", "1000"),
        ];
        for (timer, value) in timers {
            net.gateway.sysctl(&format!("net.{family}.neigh.ens6.{timer}"), value)?;
        }
    }
    let _appliance = Appliance::start(&net.gateway, &plain())?;
    follows_a_move(&net)
}

#[test]
fn packets_to_a_backend_that_does_not_exist_expire() -> Result<()> {
    if !has_root("packets_to_a_backend_that_does_not_exist_expire") {
        return Ok(());
    }
    let lab = Lab::new("lb_nobody")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let nobody = [NOBODY, "fd00:172:16:1::200"];
    let appliance = Appliance::start(&net.gateway, &config([""; 3], [nobody, FIRST, SECOND]))?;
    for (number, vip) in VIPS[0].iter().enumerate() {
        let (connected, _) = connect(&net.client, at(vip, 80)?, AT_ONCE)?;
        let error = connected.err().context("somebody answered")?;
        ensure!(error.kind() == ErrorKind::TimedOut, "{vip}: {error}");
        let wanted = number as u64 + 1;
        eventually("packets expire", SOON, || {
            Ok((drops(&net, &appliance, "hop_unresolved")? >= wanted).then_some(()))
        })?;
    }
    let status = appliance.json(&net.gateway, &["status"])?;
    ensure!(status["frames"]["waiting"] == 0, "frames still wait: {}", status["frames"]);
    for vip in [VIPS[1], VIPS[2]].as_flattened() {
        Connection::open(&net.client, at(vip, 80)?).context("the other services")?;
    }
    Ok(())
}

/// Whether `vip` can be resolved on the link of `host`.
fn resolves(host: &Host, vip: &str) -> Result<bool> {
    host.run("ping", &["-c", "1", "-W", "0.7", vip])?;
    Ok(host.neighbour(vip)?.is_some())
}

#[test]
fn a_vip_is_announced_where_it_should_be_and_served_everywhere() -> Result<()> {
    if !has_root("a_vip_is_announced_where_it_should_be_and_served_everywhere") {
        return Ok(());
    }
    let lab = Lab::new("lb_announce")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let more = ["announce = \"none\"", "announce = [\"ens5\"]", ""];
    let _appliance = Appliance::start(&net.gateway, &config(more, [FIRST, SECOND, FIRST]))?;
    let pod = &net.servers[0];
    let routers = [GATEWAY, ["172.16.1.1", "fd00:172:16:1::1"]];
    // (service, is it announced to the client, to the first server)
    for (service, announced) in [(0, [false, false]), (1, [true, false]), (2, [true, true])] {
        for (family, vip) in VIPS[service].iter().enumerate() {
            let bits = if vip.contains(':') { 128 } else { 32 };
            for ((host, here), router) in [&net.client, pod].iter().zip(announced).zip(routers) {
                let net = format!("{vip}/{bits}");
                host.ip_batch(&format!("route add {net} dev ens5"))?;
                ensure!(resolves(host, vip)? == here, "{vip} on the link of {}", host.name());
                host.ip_batch(&format!("route replace {net} via {}", router[family]))?;
                // Also for a server that is a client: its own answer comes through the VIP.
                Connection::open(host, at(vip, 80)?)
                    .with_context(|| format!("routed {vip} from {}", host.name()))?;
            }
        }
    }
    Ok(())
}

/// The address that a gratuitous ARP or an unsolicited neighbour advertisement is about.
fn announcement(frame: &[u8]) -> Option<IpAddr> {
    if let (Some([0x08, 0x06]), Some((sender, target))) = (frame.get(12..14), addresses(frame)) {
        return (sender == target && frame.starts_with(&[0xff; 6])).then_some(sender);
    }
    let (136, rest) = icmp(frame)? else { return None };
    // Sent to all nodes, without the flag that says that somebody asked.
    let unasked = rest.get(3)? & 0x40 == 0 && frame.starts_with(&[0x33, 0x33, 0, 0, 0, 1]);
    let target: [u8; 16] = rest.get(7..23)?.try_into().ok()?;
    unasked.then(|| target.into())
}

#[test]
fn vips_are_announced_at_start_and_answered_for_afterwards() -> Result<()> {
    if !has_root("vips_are_announced_at_start_and_answered_for_afterwards") {
        return Ok(());
    }
    let lab = Lab::new("lb_gratuitous")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let ours: Vec<IpAddr> = VIPS.as_flattened().iter().filter_map(|vip| vip.parse().ok()).collect();
    let wanted = ours.clone();
    let (_sniffer, seen) = frames(&net.client, "ens5", move |frame| {
        announcement(frame).is_some_and(|address| wanted.contains(&address))
    })?;
    let _appliance = Appliance::start(&net.gateway, &plain())?;
    let own = net.gateway_mac("ens5")?;
    let mut missing = ours;
    while !missing.is_empty() {
        let frame = seen.recv_timeout(SOON).with_context(|| format!("no word of {missing:?}"))?;
        let sender: Vec<_> = frame[6..12].iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(sender.join(":") == own, "announced by {sender:?}, not {own}");
        missing.retain(|address| Some(*address) != announcement(&frame));
    }
    for vip in VIPS.as_flattened() {
        ensure!(resolves(&net.client, vip)?, "nobody answers for {vip}");
        ensure!(net.client.neighbour(vip)?.as_ref() == Some(&own), "{vip} is elsewhere");
    }
    let groups = net.gateway.ip(&["-6", "maddr", "show", "dev", "ens5"])?;
    for number in 1..=3 {
        let group = format!("ff02::1:ff00:{number}");
        ensure!(groups.contains(&group), "{group} was not joined:\n{groups}");
    }
    Ok(())
}

/// What a client hears that sends a datagram to `to`.
fn send_datagram(host: &Host, to: SocketAddr) -> Result<std::io::Result<usize>> {
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = host.enter(|| UdpSocket::bind((any, 0)))??;
    socket.connect(to).context("address the VIP")?;
    socket.set_read_timeout(Some(SOON)).context("limit the wait")?;
    socket.send(b"?").context("send a datagram")?;
    Ok(socket.recv(&mut [0; 16]))
}

/// A connection and a datagram are refused, in so many words and at once.
fn are_refused(client: &Host, vip: &str, ports: [u16; 2]) -> Result<()> {
    let (connected, took) = connect(client, at(vip, ports[0])?, SOON)?;
    let error = connected.err().with_context(|| format!("{vip}: connected"))?;
    ensure!(error.kind() == ErrorKind::ConnectionRefused, "{vip}: {error}");
    ensure!(took < AT_ONCE, "{vip} refused after {took:?}");
    let error = send_datagram(client, at(vip, ports[1])?)?.err();
    let error = error.with_context(|| format!("{vip}: a datagram came back"))?;
    ensure!(error.kind() == ErrorKind::ConnectionRefused, "{vip}: {error}");
    Ok(())
}

#[test]
fn unknown_ports_and_empty_services_are_refused_and_counted() -> Result<()> {
    if !has_root("unknown_ports_and_empty_services_are_refused_and_counted") {
        return Ok(());
    }
    let lab = Lab::new("lb_refuse")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let empty = config([""; 3], [FIRST, ["", ""], FIRST]);
    let appliance = Appliance::start(&net.gateway, &empty)?;
    let before = KernelCounters::read(&net.gateway)?;
    for vip in VIPS[0] {
        are_refused(&net.client, vip, [81, 8]).context("unknown port")?;
    }
    ensure!(drops(&net, &appliance, "unknown_port")? == 4);
    for vip in VIPS[1] {
        are_refused(&net.client, vip, [80, 7]).context("service without backends")?;
    }
    ensure!(drops(&net, &appliance, "no_backend")? == 4);
    let services = appliance.json(&net.gateway, &["services"])?;
    for service in services.as_array().context("services is no list")? {
        let name = service["name"].as_str().unwrap_or_default();
        let expected = u64::from(name.starts_with("svc2"));
        ensure!(service["no_backend"] == expected, "{service}");
    }
    let after = KernelCounters::read(&net.gateway)?;
    ensure!(before == after, "the gateway's kernel took part: {before:?}, then {after:?}");
    Ok(())
}

#[test]
fn a_hop_limit_that_runs_out_is_told_from_the_ports_own_address() -> Result<()> {
    if !has_root("a_hop_limit_that_runs_out_is_told_from_the_ports_own_address") {
        return Ok(());
    }
    let lab = Lab::new("lb_ttl")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &plain())?;
    let (_sniffer, seen) = frames(&net.client, "ens5", |frame| {
        let v6 = frame.get(12..14) == Some(&[0x86, 0xdd]);
        icmp(frame).is_some_and(|(kind, _)| kind == if v6 { 3 } else { 11 })
    })?;
    for ((vip, own), client) in VIPS[0].iter().zip(GATEWAY).zip([seed::CLIENT, seed::CLIENT_V6]) {
        let to = at(vip, 7)?;
        ensure!(send_datagram(&net.client, to)?.is_ok(), "{vip} does not echo");
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let socket = net.client.enter(|| UdpSocket::bind((any, 0)))??;
        match to {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4Ttl, &1)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6Ttl, &1)?,
        }
        socket.send_to(b"?", to).context("send a datagram with one hop left")?;
        let frame = seen.recv_timeout(SOON).with_context(|| format!("no word from {own}"))?;
        let (from, told) = addresses(&frame).context("addresses")?;
        ensure!(from == own.parse::<IpAddr>()?, "told by {from}, not {own}");
        ensure!(told == client.parse::<IpAddr>()?, "told to {told}");
    }
    ensure!(drops(&net, &appliance, "ttl_exceeded")? == 2);
    Ok(())
}

/// One service with both servers, which are checked.
fn checked() -> String {
    let mut text = String::new();
    for port in seed::PORTS {
        text += &format!("[[port]]\nname = \"{port}\"\n");
    }
    text += &format!(
        "[[service]]\nname = \"web\"\nvip = \"{}\"\nports = [{{ port = 80 }}]\n\
         backends = {:?}\n[service.health]\nkind = \"tcp\"\ninterval = \"200ms\"\n\
         timeout = \"150ms\"\nrise = 1\nfall = 2\n",
        seed::VIPS[0],
        seed::SERVERS,
    );
    text
}

/// How the check of the second server stands, and its last error.
fn second_server(net: &SeedLab, appliance: &Appliance) -> Result<(String, String)> {
    let services = appliance.json(&net.gateway, &["services"])?;
    let backends = services[0]["backends"].as_array().context("no backends")?;
    let second = backends.iter().find(|backend| backend["address"] == seed::SERVERS[1]);
    let health = &second.context("the second server is not listed")?["health"];
    let word = |key: &str| health[key].as_str().unwrap_or_default().to_owned();
    Ok((word("standing"), word("last_error")))
}

#[test]
fn a_port_that_is_made_anew_is_not_used_until_a_restart() -> Result<()> {
    if !has_root("a_port_that_is_made_anew_is_not_used_until_a_restart") {
        return Ok(());
    }
    let lab = Lab::new("lb_remade")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let mut appliance = Appliance::start(&net.gateway, &checked())?;
    let is = |appliance: &Appliance, wanted: &str| -> Result<Option<()>> {
        Ok((second_server(&net, appliance)?.0 == wanted).then_some(()))
    };
    eventually("the second server is up", SOON, || is(&appliance, "up"))?;
    let alarm = "ALARM: port ens7 was deleted and made anew";
    let status = || appliance.cli(&net.gateway, &["status"])?.ok();
    ensure!(!status()?.contains(alarm));

    net.remake_server_link(&lab, 1)?;
    eventually("status says it", SOON, || Ok(status()?.contains(alarm).then_some(())))?;
    // The host's own stack reaches that server again, so that its check would be content.
    let cut_off = || {
        let (standing, error) = second_server(&net, &appliance)?;
        Ok((standing == "down" && error.contains("port ens7 was made anew")).then_some(()))
    };
    eventually("the second server is down", SOON, cut_off)?;
    let to = at(seed::VIPS[0], 80)?;
    for _ in 0..40 {
        let opened = Connection::open(&net.client, to)?;
        ensure!(opened.server == "webpod1", "a new connection reached {}", opened.server);
    }
    let said = appliance.log().matches("the port was deleted and made anew").count();
    ensure!(said == 1, "said {said} times\n{}", appliance.log_tail());

    appliance.restart(&net.gateway)?;
    eventually("a restart uses it again", SOON, || is(&appliance, "up"))?;
    ensure!(!appliance.cli(&net.gateway, &["status"])?.ok()?.contains(alarm));
    Ok(())
}
