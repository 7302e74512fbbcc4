//! A new configuration while connections run: what it does not touch goes on, what it removes is
//! ended on both sides, and a wrong one changes nothing.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::connections::{Connection, Crowd, Talk};
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::server::Server;
use portreeve_tests::skip::has_root;
use portreeve_tests::snmp::KernelCounters;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const CONNECTIONS: usize = 200;
/// New connections that show who gets new flows: a server with a third of them is missed with a
/// probability of 3e-11.
const PROBES: usize = 60;
const SOON: Duration = Duration::from_secs(5);
/// Ports on which the tests themselves serve.
const TALK: u16 = 9000;
const DATAGRAMS: u16 = 9001;
/// Servers by number: the lab's two, and the one that comes later.
const PODS: [[&str; 2]; 3] = [
    [seed::SERVERS[0], seed::SERVERS_V6[0]],
    [seed::SERVERS[1], seed::SERVERS_V6[1]],
    ["172.16.3.7", "fd00:172:16:3::7"],
];
/// VIPs of `svc1` to `svc4`.
const VIPS: [[&str; 2]; 4] = [
    [seed::VIPS[0], seed::VIPS_V6[0]],
    [seed::VIPS[1], seed::VIPS_V6[1]],
    [seed::VIPS[2], seed::VIPS_V6[2]],
    ["10.10.200.4", "fd00:10:10:200::4"],
];

/// The first `services` services in both families, with these servers (number, weight).
fn config(services: usize, pods: &[(usize, u16)]) -> String {
    let mut text = String::new();
    for port in ["ens5", "ens6", "ens7", "ens8"] {
        text += &format!("[[port]]\nname = \"{port}\"\n");
    }
    for (family, suffix) in ["", "-v6"].iter().enumerate() {
        let backend = |(pod, weight): &(usize, u16)| {
            format!("{{ address = \"{}\", weight = {weight} }}", PODS[*pod][family])
        };
        let backends = pods.iter().map(backend).collect::<Vec<_>>().join(", ");
        for (at, vip) in VIPS[..services].iter().enumerate() {
            text += &format!(
                "[[service]]\nname = \"svc{}{suffix}\"\nvip = \"{}\"\n\
                 ports = [{{ port = 80 }}, {{ port = {TALK} }}, \
                 {{ port = {DATAGRAMS}, protocol = \"udp\" }}]\nbackends = [{backends}]\n",
                at + 1,
                vip[family]
            );
        }
    }
    text
}

/// Both VIPs of the first `services` services, with this port.
fn targets(services: usize, port: u16) -> Vec<SocketAddr> {
    let vips = VIPS[..services].iter().flatten();
    vips.filter_map(|vip| Some(SocketAddr::new(vip.parse().ok()?, port))).collect()
}

/// The seed lab with a third server and a running appliance.
struct Net {
    appliance: Appliance,
    _third: (Server, Host),
    lab: SeedLab,
}

impl Net {
    fn build(lab: &Lab, config: &str) -> Result<Self> {
        let options = LinkOptions::default();
        let seed = SeedLab::build(lab, options)?;
        let third = lab.host("webpod3")?;
        lab.link(&third, "ens5", &seed.gateway, "ens8", options)?;
        for (own, router) in PODS[2].iter().zip(["172.16.3.1", "fd00:172:16:3::1"]) {
            let length = if own.contains(':') { 64 } else { 24 };
            third.address("ens5", &format!("{own}/{length}"))?;
            seed.gateway.address("ens8", &format!("{router}/{length}"))?;
            third.route("default", router)?;
        }
        let server = Server::start(&third, &[seed::HTTP], &[])?;
        let appliance = Appliance::start(&seed.gateway, config)?;
        Ok(Self { appliance, _third: (server, third), lab: seed })
    }

    /// Reads a new configuration, which has to be taken.
    fn reload(&self, config: &str) -> Result<()> {
        self.appliance.reload(config)?;
        let last = self.last_reload()?;
        ensure!(last["ok"] == true, "refused: {last}\n{}", self.appliance.log_tail());
        Ok(())
    }

    fn last_reload(&self) -> Result<serde_json::Value> {
        let status = self.appliance.json(&self.lab.gateway, &["status"])?;
        status.get("last_reload").cloned().context("status has no last_reload")
    }

    /// The servers that new connections reach.
    fn who_answers(&self, services: usize) -> Result<BTreeSet<String>> {
        let targets = targets(services, seed::HTTP);
        let open = |at: usize| Connection::open(&self.lab.client, targets[at % targets.len()]);
        (0..PROBES).map(|at| Ok(open(at)?.server)).collect()
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn of_server<'t>(talks: &'t [Talk], server: &str) -> Vec<&'t Talk> {
    talks.iter().filter(|talk| talk.server == server).collect()
}

#[test]
fn established_connections_outlive_every_reload_that_keeps_their_server() -> Result<()> {
    if !has_root("established_connections_outlive_every_reload_that_keeps_their_server") {
        return Ok(());
    }
    let lab = Lab::new("lb_reload")?;
    let net = Net::build(&lab, &config(3, &[(0, 100), (1, 100)]))?;
    let before = KernelCounters::read(&net.lab.gateway)?;
    let crowd = Crowd::start(&net.lab.client, &targets(3, seed::HTTP), CONNECTIONS)?;
    crowd.all_go_on()?;

    net.reload(&config(3, &[(0, 100), (1, 100), (2, 100)])).context("add a backend")?;
    crowd.all_go_on().context("after a backend was added")?;
    ensure!(net.who_answers(3)? == names(&["webpod1", "webpod2", "webpod3"]));

    net.reload(&config(3, &[(0, 100), (1, 0), (2, 100)])).context("drain a backend")?;
    crowd.all_go_on().context("after a backend was drained")?;
    ensure!(net.who_answers(3)? == names(&["webpod1", "webpod3"]), "new flows to a drained one");
    ensure!(!of_server(&crowd.talks(), "webpod2").is_empty(), "nobody talks to the drained one");

    net.reload(&config(3, &[(0, 100), (1, 50), (2, 100)])).context("change a weight")?;
    crowd.all_go_on().context("after a weight was changed")?;
    ensure!(net.who_answers(3)? == names(&["webpod1", "webpod2", "webpod3"]));

    net.reload(&config(4, &[(0, 100), (1, 50), (2, 100)])).context("add VIPs")?;
    crowd.all_go_on().context("after VIPs were added")?;
    let mut added = Vec::new();
    for target in &targets(4, seed::HTTP)[6..] {
        added.push(Connection::open(&net.lab.client, *target).context("ask an added VIP")?);
    }

    net.reload(&config(3, &[(0, 100), (1, 50), (2, 100)])).context("remove VIPs")?;
    crowd.all_go_on().context("after VIPs were removed")?;
    for connection in &mut added {
        let said = connection.ask().map_err(|error| error.kind());
        ensure!(said == Err(ErrorKind::ConnectionReset), "{}: {said:?}", connection.to);
    }

    net.reload(&config(3, &[(1, 50), (2, 100)])).context("remove a backend")?;
    crowd.go_on().context("after a backend was removed")?;
    let talks = crowd.talks();
    ensure!(of_server(&talks, "webpod1").len() > CONNECTIONS / 4, "too few to prove anything");
    for talk in &talks {
        let expected = (talk.server == "webpod1").then_some(ErrorKind::ConnectionReset);
        ensure!(talk.end == expected, "its backend was removed, or not: {talk:?}");
    }
    ensure!(net.who_answers(3)? == names(&["webpod2", "webpod3"]));
    let after = KernelCounters::read(&net.lab.gateway)?;
    ensure!(before == after, "the gateway's kernel took part: {before:?}, then {after:?}");
    Ok(())
}

/// Both ends of a connection through a VIP.
struct Ends {
    client: TcpStream,
    server: TcpStream,
}

impl Ends {
    /// Connects to `vip`, behind which `listener` serves alone, and exchanges a word.
    fn open(client: &Host, vip: &str, listener: &TcpListener) -> Result<Self> {
        let vip = SocketAddr::new(vip.parse()?, TALK);
        let connected = client.enter(|| TcpStream::connect_timeout(&vip, SOON))?;
        let mut client = connected.with_context(|| format!("connect to {vip}"))?;
        let (mut server, _) = listener.accept().context("accept")?;
        for end in [&client, &server] {
            end.set_read_timeout(Some(SOON)).context("limit reads")?;
        }
        say(&mut client, &mut server)?;
        say(&mut server, &mut client)?;
        Ok(Self { client, server })
    }

    /// The client speaks next: both ends learn that it is over.
    fn end_by_client(mut self) -> Result<()> {
        self.client.write_all(b"!").context("speak to what was removed")?;
        self.both_are_reset().context("the client spoke")
    }

    /// The server speaks next.
    fn end_by_server(mut self) -> Result<()> {
        self.server.write_all(b"!").context("speak to what was removed")?;
        self.both_are_reset().context("the server spoke")
    }

    fn both_are_reset(mut self) -> Result<()> {
        for (who, end) in [("client", &mut self.client), ("server", &mut self.server)] {
            let read = end.read(&mut [0]).map_err(|error| error.kind());
            ensure!(read == Err(ErrorKind::ConnectionReset), "the {who} sees {read:?}");
        }
        Ok(())
    }
}

fn say(from: &mut TcpStream, to: &mut TcpStream) -> Result<()> {
    from.write_all(b"?").context("speak")?;
    to.read_exact(&mut [0]).context("hear")
}

fn talk_on(host: &Host) -> Result<TcpListener> {
    host.enter(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, TALK)))?.context("listen")
}

#[test]
fn flows_of_a_removed_backend_are_reset_on_both_sides() -> Result<()> {
    if !has_root("flows_of_a_removed_backend_are_reset_on_both_sides") {
        return Ok(());
    }
    let lab = Lab::new("lb_bury_backend")?;
    let net = Net::build(&lab, &config(1, &[(0, 100)]))?;
    let listener = talk_on(&net.lab.servers[0])?;
    let open = |vip| Ends::open(&net.lab.client, vip, &listener);
    let first = VIPS[0].map(open);
    let second = VIPS[0].map(open);
    net.reload(&config(1, &[(1, 100)]))?;
    for ends in first {
        ends?.end_by_client().with_context(|| net.appliance.log_tail())?;
    }
    for ends in second {
        ends?.end_by_server().with_context(|| net.appliance.log_tail())?;
    }
    let status = net.appliance.json(&net.lab.gateway, &["status"])?;
    let removed = status["drops"]["removed"].as_u64();
    ensure!(removed >= Some(4), "drops counted as removed: {removed:?}");
    Ok(())
}

#[test]
fn flows_of_a_removed_service_are_reset_on_both_sides() -> Result<()> {
    if !has_root("flows_of_a_removed_service_are_reset_on_both_sides") {
        return Ok(());
    }
    let lab = Lab::new("lb_bury_service")?;
    let net = Net::build(&lab, &config(2, &[(0, 100)]))?;
    let listener = talk_on(&net.lab.servers[0])?;
    let open = |vip| Ends::open(&net.lab.client, vip, &listener);
    let first = VIPS[1].map(open);
    let second = VIPS[1].map(open);
    let mut stays = open(VIPS[0][0])?;
    net.reload(&config(1, &[(0, 100)]))?;
    for ends in first {
        ends?.end_by_client().with_context(|| net.appliance.log_tail())?;
    }
    for ends in second {
        ends?.end_by_server().with_context(|| net.appliance.log_tail())?;
    }
    say(&mut stays.client, &mut stays.server).context("a service that stays")?;
    say(&mut stays.server, &mut stays.client).context("a service that stays")
}

/// Which of these sockets gets the next datagram.
fn receiver(sockets: &[UdpSocket]) -> Result<usize> {
    let mut fds: Vec<_> =
        sockets.iter().map(|s| PollFd::from_borrowed_fd(s.as_fd(), PollFlags::IN)).collect();
    let timeout = Timespec::try_from(SOON).context("timeout out of range")?;
    ensure!(poll(&mut fds, Some(&timeout)).context("wait for a datagram")? == 1);
    let got = fds.iter().position(|fd| !fd.revents().is_empty()).context("nobody got it")?;
    sockets[got].recv(&mut [0; 16]).context("receive a datagram")?;
    Ok(got)
}

#[test]
fn a_udp_flow_of_a_removed_backend_chooses_anew() -> Result<()> {
    if !has_root("a_udp_flow_of_a_removed_backend_chooses_anew") {
        return Ok(());
    }
    let lab = Lab::new("lb_bury_udp")?;
    let net = Net::build(&lab, &config(1, &[(0, 100)]))?;
    let bind = |host: &Host| host.enter(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, DATAGRAMS)));
    let sockets = [bind(&net.lab.servers[0])??, bind(&net.lab.servers[1])??];
    for (family, vip) in VIPS[0].iter().enumerate() {
        let vip = SocketAddr::new(vip.parse()?, DATAGRAMS);
        let any: IpAddr = if vip.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let client = net.lab.client.enter(|| UdpSocket::bind((any, 0)))??;
        let next = |expected: usize| -> Result<()> {
            client.send_to(b"?", vip).context("send")?;
            let got = receiver(&sockets)?;
            ensure!(got == expected, "server {got} got it, not {expected} (family {family})");
            Ok(())
        };
        net.reload(&config(1, &[(0, 100), (1, 0)]))?;
        next(0)?;
        next(0)?;
        // Draining first: the flow stays, though a new one would go to the other server.
        net.reload(&config(1, &[(0, 0), (1, 100)]))?;
        next(0).context("while its backend drains")?;
        net.reload(&config(1, &[(1, 100)]))?;
        next(1).context("after its backend was removed")?;
        next(1)?;
    }
    Ok(())
}

/// Everything that is refused: the file, and a word of what is said about it.
fn refused() -> Vec<(String, &'static str)> {
    let good = config(3, &[(0, 100), (1, 100)]);
    vec![
        ("[[service]\nname = ".to_owned(), "TOML"),
        (good.replace("172.16.1.93", "172.16.1.393"), "172.16.1.393"),
        (good.replace("weight", "wait"), "wait"),
        (format!("[worker]\nflows = 4096\n{good}"), "[worker]"),
        (format!("[gateway]\nname = \"other\"\n{good}"), "[gateway]"),
        (good.replace("[[port]]\nname = \"ens8\"\n", ""), "[[port]]"),
        (good.replace("172.16.2.115", "198.51.100.1"), "198.51.100.1"),
    ]
}

#[test]
fn a_wrong_file_changes_nothing_and_is_reported() -> Result<()> {
    if !has_root("a_wrong_file_changes_nothing_and_is_reported") {
        return Ok(());
    }
    let lab = Lab::new("lb_wrong_file")?;
    let good = config(3, &[(0, 100), (1, 100)]);
    let net = Net::build(&lab, &good)?;
    let crowd = Crowd::start(&net.lab.client, &targets(3, seed::HTTP), 12)?;
    let epoch = |net: &Net| -> Result<serde_json::Value> {
        Ok(net.appliance.json(&net.lab.gateway, &["status"])?["workers"][0]["epoch"].clone())
    };
    let file = net.appliance.config_path().display().to_string();
    for (wrong, word) in refused() {
        let before = epoch(&net)?;
        net.appliance.reload(&wrong)?;
        let last = net.last_reload()?;
        ensure!(last["ok"] == false, "taken, though {word} is wrong");
        let problems = last["problems"].to_string();
        ensure!(problems.contains(word) && problems.contains(&file), "{word}: {problems}");
        ensure!(epoch(&net)? == before, "tables were published in spite of {word}");
        crowd.all_go_on().with_context(|| format!("after a file with a wrong {word}"))?;
    }
    ensure!(net.who_answers(3)? == names(&["webpod1", "webpod2"]));
    net.reload(&good)?;
    ensure!(net.last_reload()?["problems"] == serde_json::json!([]));
    crowd.all_go_on()
}

#[test]
fn a_change_of_the_file_and_sighup_both_reload() -> Result<()> {
    if !has_root("a_change_of_the_file_and_sighup_both_reload") {
        return Ok(());
    }
    let lab = Lab::new("lb_sighup")?;
    let net = Net::build(&lab, &config(1, &[(0, 100)]))?;
    let count = |what: &str| net.appliance.log().matches(what).count();
    net.reload(&config(1, &[(1, 100)]))?;
    ensure!(count("configuration taken") == 1, "{}", net.appliance.log());
    ensure!(net.who_answers(1)? == names(&["webpod2"]));

    net.appliance.signal(Signal::SIGHUP)?;
    net.appliance.wait_ready()?;
    ensure!(count("read again: nothing changed") == 1, "{}", net.appliance.log());

    // The signal comes first, since the watch waits for the file to be quiet; what it finds later
    // is in force already.
    net.appliance.write_config(&config(1, &[(0, 100)]))?;
    net.appliance.signal(Signal::SIGHUP)?;
    net.appliance.wait_ready()?;
    ensure!(count("configuration taken") == 2, "{}", net.appliance.log());
    ensure!(net.who_answers(1)? == names(&["webpod1"]));
    net.appliance.wait_ready()?;
    ensure!(count("read again: nothing changed") == 2, "{}", net.appliance.log());
    Ok(())
}

/// (VIPs, backends) that the appliance serves.
fn served(net: &Net) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let services = net.appliance.json(&net.lab.gateway, &["services"])?;
    let services = services.as_array().context("services is no list")?.clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let backends = services.iter().filter_map(|service| service["backends"].as_array()).flatten();
    let backends = backends.map(|backend| text(&backend["address"])).collect();
    Ok((services.iter().map(|service| text(&service["vip"])).collect(), backends))
}

#[test]
fn diff_says_before_what_the_reload_then_does() -> Result<()> {
    if !has_root("diff_says_before_what_the_reload_then_does") {
        return Ok(());
    }
    let lab = Lab::new("lb_diff")?;
    let next = config(4, &[(1, 100), (2, 100)]).replace("svc1", "svc0");
    let net = Net::build(&lab, &config(3, &[(0, 100), (1, 100)]))?;
    let path = net.appliance.dir().join("next.toml");
    std::fs::write(&path, &next).context("write the next configuration")?;
    let binary = net.appliance.binary().to_str().context("path")?.to_owned();
    let old = net.appliance.config_path();
    let args = ["diff", old.to_str().context("path")?, path.to_str().context("path")?];
    let said = net.lab.gateway.run(&binary, &args)?.ok()?;
    for line in ["+ service svc4:", "~ service svc0", "    ~ was called svc1"] {
        ensure!(said.lines().any(|had| had.starts_with(line)), "no {line:?} in\n{said}");
    }
    // Another name is no other service: its flows go on.
    ensure!(!said.contains("- service"), "{said}");

    let (vips, backends) = served(&net)?;
    net.reload(&next)?;
    let (new_vips, new_backends) = served(&net)?;
    let line = |sign: &str, what: &str| {
        said.lines().any(|l| l.trim().starts_with(sign) && l.contains(what))
    };
    for vip in new_vips.difference(&vips) {
        ensure!(line("+ service", vip), "{vip} was not foretold:\n{said}");
    }
    for address in new_backends.difference(&backends) {
        ensure!(line("+ backend", address), "{address} was not foretold:\n{said}");
    }
    for address in backends.difference(&new_backends) {
        ensure!(line("- backend", address), "{address} was not foretold:\n{said}");
    }
    ensure!(vips.is_subset(&new_vips) && new_vips.len() == vips.len() + 2, "{new_vips:?}");
    ensure!(new_backends.len() == 4 && backends.len() == 4, "{new_backends:?}");
    Ok(())
}
