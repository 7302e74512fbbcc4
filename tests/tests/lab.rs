//! The lab itself: what every other test here stands on.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portreeve_tests::bpffs::Bpffs;
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::run_dir::RunDir;
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use portreeve_tests::sniffer::{Sniffer, touches};
use portreeve_tests::snmp::KernelCounters;
use portreeve_tests::{curl, netns};

const PATIENCE: Duration = Duration::from_secs(10);

fn pair(lab: &Lab, options: LinkOptions) -> Result<[Host; 2]> {
    let [a, b] = [lab.host("a")?, lab.host("b")?];
    lab.link(&a, "ens5", &b, "ens5", options)?;
    a.address("ens5", "10.0.0.1/24")?;
    b.address("ens5", "10.0.0.2/24")?;
    a.address("ens5", "fd00::1/64")?;
    b.address("ens5", "fd00::2/64")?;
    Ok([a, b])
}

fn reaches(from: &Host, to: &str) -> Result<()> {
    from.run("ping", &["-c", "1", "-W", "5", to])?.ok().map(drop)
}

#[test]
fn two_hosts_ping_each_other_in_both_families() -> Result<()> {
    if !has_root("two_hosts_ping_each_other_in_both_families") {
        return Ok(());
    }
    let lab = Lab::new("ping")?;
    let [a, b] = pair(&lab, LinkOptions::default())?;
    reaches(&a, "10.0.0.2")?;
    reaches(&b, "fd00::1")?;
    ensure!(a.neighbour("10.0.0.2")? == Some(b.mac("ens5")?), "a did not learn b's MAC");
    Ok(())
}

#[test]
fn labs_with_equal_names_and_addresses_stand_side_by_side() -> Result<()> {
    if !has_root("labs_with_equal_names_and_addresses_stand_side_by_side") {
        return Ok(());
    }
    let [first, second] = [Lab::new("twin")?, Lab::new("twin")?];
    let [a, _b] = pair(&first, LinkOptions::default())?;
    let [c, d] = pair(&second, LinkOptions::default())?;
    reaches(&a, "10.0.0.2")?;
    reaches(&c, "10.0.0.2")?;
    drop(d);
    reaches(&a, "10.0.0.2")?;
    // The kernel takes the links of a namespace that is gone away a little later.
    let deadline = Instant::now() + Duration::from_secs(10);
    while reaches(&c, "10.0.0.2").is_ok() {
        ensure!(Instant::now() < deadline, "c still reaches a host that is gone");
    }
    Ok(())
}

#[test]
fn a_panic_leaves_no_namespace_process_or_mount() -> Result<()> {
    if !has_root("a_panic_leaves_no_namespace_process_or_mount") {
        return Ok(());
    }
    let (tell, told) = mpsc::channel();
    let panicked = std::thread::spawn(move || -> Result<()> {
        let lab = Lab::new("panic")?;
        let host = lab.host("a")?;
        let dir = RunDir::new()?;
        let bpffs = Bpffs::mount(dir.path().join("bpf"))?;
        let mut forever = Command::new("tail");
        forever.args(["-f", "/dev/null"]);
        let process = host.spawn(forever)?;
        let name = host.netns().name().to_owned();
        tell.send((name, process.pid(), bpffs.path().to_owned())).context("tell")?;
        panic!("on purpose");
    });
    let (name, pid, mount) = told.recv_timeout(PATIENCE).context("the lab was not laid out")?;
    ensure!(panicked.join().is_err(), "no panic");
    ensure!(netns::list(&name).is_empty(), "{name} is still there");
    ensure!(!Path::new(&format!("/proc/{pid}")).exists(), "process {pid} still runs");
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    ensure!(!mounts.contains(&mount.display().to_string()), "{} is mounted", mount.display());
    ensure!(!mount.exists(), "{} is still there", mount.display());
    Ok(())
}

#[test]
fn an_interrupt_leaves_no_namespace_process_or_mount() -> Result<()> {
    if !has_root("an_interrupt_leaves_no_namespace_process_or_mount") {
        return Ok(());
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_lab-hold")).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("stdout")?).read_line(&mut line)?;
    let [name, pid, dir] = line.split_whitespace().collect::<Vec<_>>()[..] else {
        anyhow::bail!("it said {line:?}");
    };
    ensure!(netns::list(name).len() == 1, "{name} was not made");
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
    ensure!(child.wait()?.code() == Some(130), "it did not end by the signal");
    ensure!(netns::list(name).is_empty(), "{name} is still there");
    ensure!(!Path::new(&format!("/proc/{pid}")).exists(), "process {pid} still runs");
    ensure!(!Path::new(dir).exists(), "{dir} is still there");
    Ok(())
}

#[test]
fn links_have_the_queues_and_the_mtu_asked_for() -> Result<()> {
    if !has_root("links_have_the_queues_and_the_mtu_asked_for") {
        return Ok(());
    }
    let lab = Lab::new("queues")?;
    let [a, b] = pair(&lab, LinkOptions { mtu: 9001, queues: 4 })?;
    for host in [&a, &b] {
        let link = host.ip(&["-details", "link", "show", "dev", "ens5"])?;
        ensure!(link.contains("mtu 9001"), "{link}");
        ensure!(link.contains("numtxqueues 4 numrxqueues 4"), "{link}");
    }
    a.run("ping", &["-c", "1", "-W", "5", "-M", "do", "-s", "8973", "10.0.0.2"])?.ok()?;
    Ok(())
}

#[test]
fn sockets_and_bpffs_are_where_they_belong() -> Result<()> {
    if !has_root("sockets_and_bpffs_are_where_they_belong") {
        return Ok(());
    }
    let lab = Lab::new("inside")?;
    let [a, b] = pair(&lab, LinkOptions::default())?;
    let listener = b.enter(|| TcpListener::bind("10.0.0.2:8080"))??;
    let _client = a.enter(|| TcpStream::connect("10.0.0.2:8080"))??;
    let (_, from) = listener.accept()?;
    ensure!(from.ip().to_string() == "10.0.0.1", "{from}");
    ensure!(TcpListener::bind("10.0.0.2:8080").is_err(), "the test itself is inside");
    let dir = RunDir::new()?;
    let bpffs = Bpffs::mount(dir.path().join("bpf"))?;
    let path = bpffs.path().to_str().context("path")?;
    let kind = a.run("stat", &["--file-system", "--format=%T", path])?.ok()?;
    ensure!(kind.trim() == "bpf_fs", "inside, {path} is {kind}");
    Ok(())
}

#[test]
fn a_sniffer_counts_what_goes_by_in_both_directions() -> Result<()> {
    if !has_root("a_sniffer_counts_what_goes_by_in_both_directions") {
        return Ok(());
    }
    let lab = Lab::new("sniffer")?;
    let [a, b] = pair(&lab, LinkOptions::default())?;
    let elsewhere = "10.0.0.99".parse()?;
    let seen = "10.0.0.1".parse()?;
    let all = Sniffer::start(&b, "ens5", move |frame| touches(frame, &[seen]))?;
    let none = Sniffer::start(&b, "ens5", move |frame| touches(frame, &[elsewhere]))?;
    a.run("ping", &["-c", "3", "-i", "0.01", "10.0.0.2"])?.ok()?;
    let (all, none) = (all.stop()?, none.stop()?);
    ensure!(all.matching >= 6, "3 requests and 3 replies: {all:?}");
    ensure!(none.matching == 0 && none.frames >= 6, "{none:?}");
    Ok(())
}

#[test]
fn what_the_gateways_kernel_does_is_counted() -> Result<()> {
    if !has_root("what_the_gateways_kernel_does_is_counted") {
        return Ok(());
    }
    let lab = Lab::new("kernel")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let before = KernelCounters::read(&net.gateway)?;
    // No appliance runs: the servers are reached through the gateway's kernel.
    let urls =
        [format!("http://{}/", seed::SERVERS[0]), format!("http://[{}]/", seed::SERVERS_V6[1])];
    let answers = curl::get(&net.client, &urls)?;
    ensure!(answers.iter().all(curl::Answer::is_good), "{answers:?}");
    ensure!(answers[0].hostname == "webpod1" && answers[1].hostname == "webpod2", "{answers:?}");
    // Nobody listens on the gateway: its kernel answers RST.
    let refused = net.client.enter(|| TcpStream::connect("10.10.200.5:81"))?;
    ensure!(refused.is_err(), "the gateway listens");
    let after = KernelCounters::read(&net.gateway)?;
    ensure!(after.forwarded_v4 > before.forwarded_v4, "{before:?} {after:?}");
    ensure!(after.forwarded_v6 > before.forwarded_v6, "{before:?} {after:?}");
    ensure!(after.resets > before.resets, "{before:?} {after:?}");
    Ok(())
}

#[test]
fn servers_echo_and_serve_downloads() -> Result<()> {
    if !has_root("servers_echo_and_serve_downloads") {
        return Ok(());
    }
    let lab = Lab::new("servers")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let socket = net.client.enter(|| UdpSocket::bind("0.0.0.0:0"))??;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(b"there and back", (seed::SERVERS[0], seed::ECHO))?;
    let mut buffer = [0; 64];
    let (length, _) = socket.recv_from(&mut buffer)?;
    ensure!(&buffer[..length] == b"there and back", "{buffer:?}");
    let url = format!("http://{}/data/20000000", seed::SERVERS[1]);
    let mut command = Command::new("curl");
    command.args(["--silent", "--fail", &url]).stdout(Stdio::piped());
    let got = net.client.enter(|| command.output())??.stdout;
    let mut sent = Vec::new();
    portreeve_tests::server::noise::write(20_000_000, &mut sent)?;
    ensure!(got == sent, "{} of {} bytes, or other ones", got.len(), sent.len());
    Ok(())
}

#[test]
fn bridged_hosts_share_a_link() -> Result<()> {
    if !has_root("bridged_hosts_share_a_link") {
        return Ok(());
    }
    let lab = Lab::new("bridge")?;
    let switch = lab.host("switch")?;
    let hosts = [lab.host("a")?, lab.host("b")?, lab.host("c")?];
    for (at, host) in hosts.iter().enumerate() {
        lab.link(host, "ens5", &switch, &format!("port{at}"), LinkOptions::default())?;
        host.address("ens5", &format!("10.0.0.{}/24", at + 1))?;
    }
    switch.bridge("br0", &["port0", "port1", "port2"])?;
    reaches(&hosts[0], "10.0.0.3")?;
    reaches(&hosts[2], "10.0.0.2")
}
