//! What happens when the process ends, however it ends, and how soon it forwards again.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::bpffs::Bpffs;
use portreeve_tests::connections::Connection;
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use portreeve_tests::sniffer::{Sniffer, addresses};
use portreeve_tests::snmp::KernelCounters;

/// What is promised from exec to the first forwarded packet (design section 10).
const PROMISE: Duration = Duration::from_millis(150);
/// What a test may demand on a machine that it does not have to itself, with a program that is
/// not optimised.
const FACTOR: u32 = 3;
const RESTARTS: usize = 10;
/// First port that is used of an address that the host has too.
const SHARED_PORTS: u16 = 61_000;
/// Of the stream of datagrams, one each.
const BEAT: Duration = Duration::from_millis(2);
const SOON: Duration = Duration::from_secs(5);
/// How long nothing may come back: some retransmissions of both sides fall into it.
const SILENCE: Duration = Duration::from_millis(1_500);

/// Both families, HTTP and UDP echo, everything else by default: the flow table of full size.
fn config() -> String {
    let mut text = String::new();
    for port in seed::PORTS {
        text += &format!("[[port]]\nname = \"{port}\"\n");
    }
    let families = [("", seed::VIPS, seed::SERVERS), ("-v6", seed::VIPS_V6, seed::SERVERS_V6)];
    for (suffix, vips, [one, two]) in families {
        for (at, vip) in vips.iter().enumerate() {
            text += &format!(
                "[[service]]\nname = \"svc{}{suffix}\"\nvip = \"{vip}\"\n\
                 ports = [{{ port = {} }}, {{ port = {}, protocol = \"udp\" }}]\n\
                 backends = [\"{one}\", \"{two}\"]\n",
                at + 1,
                seed::HTTP,
                seed::ECHO
            );
        }
    }
    text
}

fn parse(list: &[&str]) -> Vec<IpAddr> {
    list.iter().filter_map(|address| address.parse().ok()).collect()
}

fn vip(port: u16) -> Result<SocketAddr> {
    Ok(SocketAddr::new(seed::VIPS[0].parse()?, port))
}

/// Where the transport header of an IP packet without options begins, and its protocol.
fn transport(frame: &[u8]) -> Option<(u8, &[u8])> {
    match frame.get(12..14)? {
        [0x08, 0x00] => Some((*frame.get(23)?, frame.get(34..)?)),
        [0x86, 0xdd] => Some((*frame.get(20)?, frame.get(54..)?)),
        _ => None,
    }
}

/// A TCP reset or an ICMP error: what a kernel says about packets that it does not want.
fn refuses(frame: &[u8]) -> bool {
    match transport(frame) {
        Some((6, tcp)) => tcp.get(13).is_some_and(|flags| flags & 0x04 != 0),
        Some((1, icmp)) => matches!(icmp.first(), Some(3 | 5 | 11 | 12)),
        Some((58, icmp)) => matches!(icmp.first(), Some(1..=4 | 137)),
        _ => false,
    }
}

/// A sniffer at `host`'s end of a link for what must not come from the gateway: refusals, and
/// anything in the name of `silent` (ARP and NDP answers carry it as well).
fn leaks(host: &Host, gateway: &str, silent: Vec<IpAddr>) -> Result<Sniffer> {
    let bytes = gateway.split(':').map(|byte| u8::from_str_radix(byte, 16));
    let mac = bytes.collect::<Result<Vec<_>, _>>().context("the MAC of a port")?;
    Sniffer::start(host, "ens5", move |frame| {
        let named = addresses(frame).is_some_and(|(from, _)| silent.contains(&from));
        frame.get(6..12) == Some(&mac[..])
            && (refuses(frame) || named || advertises(frame, &silent))
    })
}

/// A neighbour advertisement for one of `silent`.
fn advertises(frame: &[u8], silent: &[IpAddr]) -> bool {
    let Some((58, [136, rest @ ..])) = transport(frame) else { return false };
    let target = rest.get(7..23).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    target.is_some_and(|target| silent.contains(&IpAddr::from(target)))
}

/// A server's TCP packet to a port that the appliance had taken for a flow.
fn to_snat_port(frame: &[u8]) -> bool {
    let Some((6, [0, 80, high, low, ..])) = transport(frame) else { return false };
    u16::from_be_bytes([*high, *low]) >= SHARED_PORTS
}

/// The gateway host as its neighbours know it: it answers ping and TCP.
fn the_host_itself_works(net: &SeedLab) -> Result<()> {
    let listener = net.gateway.enter(|| TcpListener::bind("0.0.0.0:22"))?.context("listen")?;
    let places = [(&net.client, "10.10.200.5"), (&net.servers[0], "172.16.1.1")];
    for (host, own) in places {
        let ping = host.run("ping", &["-c", "2", "-i", "0.05", "-W", "2", own])?;
        ping.ok().with_context(|| format!("ping the gateway's own {own}"))?;
        let to = SocketAddr::new(own.parse()?, 22);
        let connected = host.enter(|| TcpStream::connect_timeout(&to, SOON))?;
        connected.with_context(|| format!("connect to the gateway's own {own}"))?;
        listener.accept().context("accept on the gateway itself")?;
    }
    let v6 = net.client.run("ping", &["-c", "1", "-W", "2", "fd00:10:10:200::5"])?;
    v6.ok().map(drop)
}

/// The VIP answers nothing at all: no connection, no refusal, no echo, no ping.
fn the_vip_is_silent(net: &SeedLab) -> Result<()> {
    let http = vip(seed::HTTP)?;
    let tried = net.client.enter(|| TcpStream::connect_timeout(&http, SILENCE))?;
    let error = tried.err().context("a connection was opened")?;
    ensure!(error.kind() == std::io::ErrorKind::TimedOut, "connect: {error}");
    let socket = echo_socket(net)?;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    socket.send(b"?").context("send a datagram")?;
    let error = socket.recv(&mut [0; 16]).err().context("a datagram came back")?;
    ensure!(error.kind() == std::io::ErrorKind::WouldBlock, "echo: {error}");
    let ping = net.client.run("ping", &["-c", "3", "-i", "0.1", "-W", "0.3", seed::VIPS[0]])?;
    ensure!(ping.stdout.contains("100% packet loss"), "{}", ping.stdout);
    ensure!(!ping.stdout.contains("nreachable"), "{}", ping.stdout);
    Ok(())
}

/// Nobody says where the VIPs are. Forgets what the client knew of them.
fn nobody_answers_for_the_vips(net: &SeedLab) -> Result<()> {
    net.client.ip(&["neigh", "flush", "dev", "ens5"])?;
    for vip in [seed::VIPS[0], seed::VIPS_V6[0]] {
        let ping = net.client.run("ping", &["-c", "1", "-W", "0.5", vip])?;
        ensure!(!ping.success, "{vip} answers");
        let learnt = net.client.neighbour(vip)?;
        ensure!(learnt.is_none(), "{vip} is at {learnt:?}");
    }
    Ok(())
}

fn echo_socket(net: &SeedLab) -> Result<UdpSocket> {
    let socket = net.client.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))??;
    socket.connect(vip(seed::ECHO)?).context("address the echo service")?;
    Ok(socket)
}

/// A download without end, so that the server has something to retransmit at any moment.
fn download(net: &SeedLab) -> Result<TcpStream> {
    let to = vip(seed::HTTP)?;
    let mut stream = net.client.enter(|| TcpStream::connect_timeout(&to, SOON))??;
    stream.write_all(b"GET /data/100000000000 HTTP/1.1\r\nHost: lab\r\n\r\n")?;
    let mut reader = stream.try_clone()?;
    reader.read_exact(&mut [0; 1 << 20]).context("the first megabyte")?;
    // Ends with the connection.
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    Ok(stream)
}

fn kill(appliance: &mut Appliance) -> Result<()> {
    appliance.signal(Signal::SIGKILL)?;
    appliance.wait_exit().map(drop)
}

#[test]
fn killed_in_the_middle_of_traffic_it_falls_silent_and_the_host_lives() -> Result<()> {
    if !has_root("killed_in_the_middle_of_traffic_it_falls_silent_and_the_host_lives") {
        return Ok(());
    }
    let lab = Lab::new("lb_kill")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let mut appliance = Appliance::start(&net.gateway, &config())?;
    let before = KernelCounters::read(&net.gateway)?;
    let stream = download(&net)?;
    kill(&mut appliance)?;

    let vips = parse(&[seed::VIPS, seed::VIPS_V6].concat());
    let servers = parse(&[seed::SERVERS, seed::SERVERS_V6].concat());
    let silent = [&vips[..], &servers].concat();
    let mut sniffers = vec![leaks(&net.client, &net.gateway_mac("ens5")?, silent)?];
    for (server, port) in net.servers.iter().zip(&seed::PORTS[1..]) {
        let silent = [&vips[..], &seed::client_addresses()].concat();
        sniffers.push(leaks(server, &net.gateway_mac(port)?, silent)?);
    }
    let retransmitted: Vec<_> = (net.servers.iter())
        .map(|server| Sniffer::start(server, "ens5", to_snat_port))
        .collect::<Result<_>>()?;

    the_vip_is_silent(&net)?;
    the_host_itself_works(&net)?;
    nobody_answers_for_the_vips(&net)?;
    for sniffer in sniffers {
        let capture = sniffer.stop()?;
        ensure!(capture.frames > 0, "the sniffer saw nothing at all");
        ensure!(capture.matching == 0, "the gateway is not silent: {capture:02x?}");
    }
    let sent = retransmitted.into_iter().map(|s| Ok(s.stop()?.matching)).sum::<Result<u64>>()?;
    ensure!(sent > 0, "no server sent anything: their packets proved nothing");
    let after = KernelCounters::read(&net.gateway)?;
    ensure!(before == after, "the gateway's kernel took part: {before:?}, then {after:?}");

    appliance.restart(&net.gateway)?;
    let log = appliance.log();
    ensure!(log.matches("start=Adopted").count() == 1, "the program was not adopted:\n{log}");
    Connection::open(&net.client, vip(seed::HTTP)?).context("after the restart")?;
    drop(stream);
    Ok(())
}

/// Sends a datagram every two milliseconds until one comes back; returns when.
fn first_echo(socket: &UdpSocket, restart: usize) -> Result<Instant> {
    for number in 0..SOON.as_millis() / BEAT.as_millis() {
        // Echoes of what was sent before this restart do not count.
        let word = format!("{restart} {number}");
        socket.send(word.as_bytes()).context("send a datagram")?;
        let mut buffer = [0; 64];
        match socket.recv(&mut buffer) {
            Ok(length) if buffer[..length].starts_with(format!("{restart} ").as_bytes()) => {
                return Ok(Instant::now());
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("the VIP was not silent"),
        }
    }
    bail!("no echo within {SOON:?}")
}

/// Kills it, starts it again, and returns how long it took from there to the first echo.
fn restart(net: &SeedLab, appliance: &mut Appliance, number: usize) -> Result<Duration> {
    kill(appliance)?;
    let socket = echo_socket(net)?;
    socket.set_read_timeout(Some(BEAT))?;
    std::thread::scope(|scope| {
        let echo = scope.spawn(move || first_echo(&socket, number));
        let exec = Instant::now();
        appliance.restart(&net.gateway)?;
        let echo = echo.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        // The stream starts a moment before the process, when nobody can answer yet.
        Ok(echo.duration_since(exec))
    })
}

#[test]
fn a_restart_adopts_the_program_and_forwards_soon() -> Result<()> {
    if !has_root("a_restart_adopts_the_program_and_forwards_soon") {
        return Ok(());
    }
    let lab = Lab::new("lb_restart")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let mut appliance = Appliance::start(&net.gateway, &config())?;
    Connection::open(&net.client, vip(seed::HTTP)?)?;
    let mut took = Vec::new();
    let mut starts = Vec::new();
    for number in 0..RESTARTS {
        took.push(restart(&net, &mut appliance, number)?);
        let status = appliance.json(&net.gateway, &["status"])?;
        ensure!(status["workers"][0]["flows_max"] == 1 << 20, "not the default flow table");
        starts.push(status["start_ms"].as_u64().context("no start_ms")?);
    }
    let log = appliance.log();
    ensure!(log.matches("start=Adopted").count() == RESTARTS, "not adopted each time:\n{log}");
    took.sort_unstable();
    starts.sort_unstable();
    let median = took[RESTARTS / 2];
    let (min, max) = (took[0], took[RESTARTS - 1]);
    // Where the time goes: the log of the last start, whose lines carry times.
    let last = log.rfind("start=Adopted").and_then(|at| log[..at].rfind('\n')).unwrap_or(0);
    println!("the last start:{}", &log[last..]);
    println!(
        "exec to first echo: median {median:?}, min {min:?}, max {max:?}; start_ms {starts:?}"
    );
    ensure!(
        median <= PROMISE * FACTOR,
        "median {median:?} of {took:?}; start_ms {starts:?}\n{log}"
    );
    Ok(())
}

fn is_attached(host: &Host, port: &str) -> Result<bool> {
    Ok(host.ip(&["-details", "link", "show", "dev", port])?.contains("prog/xdp"))
}

#[test]
fn sigterm_leaves_the_program_and_detach_removes_it() -> Result<()> {
    if !has_root("sigterm_leaves_the_program_and_detach_removes_it") {
        return Ok(());
    }
    let lab = Lab::new("lb_sigterm")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let mut appliance = Appliance::start(&net.gateway, &config())?;
    Connection::open(&net.client, vip(seed::HTTP)?)?;
    let binary = appliance.binary().to_str().context("path")?.to_owned();
    let pin_dir = appliance.pin_dir();
    let detach = ["detach", "--pin-dir", pin_dir.to_str().context("path")?];
    let early = net.gateway.run(&binary, &detach)?;
    ensure!(!early.success, "detached under a running gateway: {}", early.stdout);

    appliance.signal(Signal::SIGTERM)?;
    let status = appliance.wait_exit()?;
    ensure!(status.code() == Some(0), "{status}\n{}", appliance.log_tail());
    ensure!(!appliance.socket_path().exists(), "the socket was left behind");
    for port in seed::PORTS {
        ensure!(is_attached(&net.gateway, port)?, "the program is gone from {port}");
    }
    the_vip_is_silent(&net)?;
    the_host_itself_works(&net)?;

    let said = net.gateway.run(&binary, &detach)?.ok()?;
    ensure!(said.contains("3 interfaces"), "{said}");
    for port in seed::PORTS {
        ensure!(!is_attached(&net.gateway, port)?, "the program is still on {port}");
    }
    nobody_answers_for_the_vips(&net)?;
    the_host_itself_works(&net)
}

/// Runs a second instance on `host` to its end, which has to come with an error.
fn refused(host: &Host, first: &Appliance, pin_dir: &Path, socket: &Path) -> Result<String> {
    let config = first.config_path();
    let binary = first.binary().to_str().context("path")?;
    let path = |path: &Path| path.to_str().map(str::to_owned).context("path");
    let args = [path(&config)?, path(pin_dir)?, path(socket)?];
    let args = ["run", "--config", &args[0], "--pin-dir", &args[1], "--socket", &args[2]];
    // It ends by itself, or the time limit of `timeout` shows that it was not refused.
    let ran = host.run("timeout", &[&["10", binary], &args[..]].concat())?;
    ensure!(!ran.success, "a second instance ran");
    Ok(ran.stdout + &ran.stderr)
}

#[test]
fn a_second_instance_is_refused_and_the_first_goes_on() -> Result<()> {
    if !has_root("a_second_instance_is_refused_and_the_first_goes_on") {
        return Ok(());
    }
    let lab = Lab::new("lb_second")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    // A host of the same shape, so that only the socket is in the way there.
    let twin = SeedLab::build(&Lab::new("lb_second_twin")?, LinkOptions::default())?;
    let first = Appliance::start(&net.gateway, &config())?;
    let mut connection = Connection::open(&net.client, vip(seed::HTTP)?)?;

    let other_socket = first.dir().join("other.sock");
    let said = refused(&net.gateway, &first, &first.pin_dir(), &other_socket)?;
    let dir = first.pin_dir().display().to_string();
    ensure!(said.contains("error: ") && said.contains(&dir), "pin directory: {said}");
    ensure!(said.contains("use") && !said.contains("panicked"), "pin directory: {said}");
    println!("same pin directory: {said}");

    let pins = Bpffs::mount(first.dir().join("other"))?;
    let said = refused(&twin.gateway, &first, pins.path(), &first.socket_path())?;
    let socket = first.socket_path().display().to_string();
    ensure!(said.contains("error: ") && said.contains(&socket), "socket: {said}");
    println!("same socket: {said}");

    let server = connection.ask().context("the first instance was disturbed")?;
    ensure!(server == connection.server, "another server: {server}");
    first.json(&net.gateway, &["status"]).context("the first instance's socket")?;
    Ok(())
}
