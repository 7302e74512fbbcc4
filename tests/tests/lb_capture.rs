//! `portreeve capture`, read by tshark: what came in, what left, and what became of the rest.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::curl;
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::process::Process;
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;

const PATIENCE: Duration = Duration::from_secs(10);
const REQUESTS: usize = 20;
/// No service has this port.
const NOBODY: u16 = 9;

/// Directions, as tshark shows epb_flags.
const IN: &str = "0x00000001";
const OUT: &str = "0x00000002";

const FIELDS: [&str; 7] = [
    "frame.interface_name",
    "frame.packet_flags_direction",
    "frame.comment",
    "ip.src",
    "ip.dst",
    "udp.dstport",
    "tcp.flags.str",
];

/// What tshark says of a packet, in the order of [`FIELDS`].
type Row = Vec<String>;

fn read(host: &Host, file: &Path, filter: &str) -> Result<Vec<Row>> {
    let file = file.to_str().context("the path is not UTF-8")?;
    let mut args = vec!["-n", "-r", file, "-T", "fields", "-E", "separator=|"];
    for field in FIELDS {
        args.extend(["-e", field]);
    }
    if !filter.is_empty() {
        args.extend(["-Y", filter]);
    }
    let text = host.run("tshark", &args)?.ok()?;
    Ok(text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect())
}

fn start(appliance: &Appliance, host: &Host, file: &Path, args: &[&str]) -> Result<Process> {
    let _ = std::fs::remove_file(file);
    let mut command = Command::new(appliance.binary());
    command.args(["capture", "--socket"]).arg(appliance.socket_path()).arg("--write").arg(file);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null());
    let process = host.spawn(command)?;
    // The head of the file is written once every worker copies packets.
    let deadline = Instant::now() + PATIENCE;
    while std::fs::metadata(file).map_or(0, |file| file.len()) == 0 {
        ensure!(Instant::now() < deadline, "no capture begins:\n{}", appliance.log_tail());
        std::thread::yield_now();
    }
    Ok(process)
}

/// Ends a capture as an operator does.
fn end(process: &Process) -> Result<()> {
    process.signal(Signal::SIGINT)?;
    let status = process.wait_exit(PATIENCE)?;
    ensure!(status.success(), "the capture ended with {status}");
    Ok(())
}

/// A datagram to a port that nobody has: the kernel tells of the answer.
fn ask_nobody(client: &Host) -> Result<()> {
    client.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect((seed::VIPS[0], NOBODY))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(b"anybody?")?;
        let answer = socket.recv(&mut [0; 8]);
        let refused = answer.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused);
        ensure!(refused, "port unreachable");
        Ok(())
    })?
}

fn get(client: &Host) -> Result<()> {
    let urls = vec![format!("http://{}/", seed::VIPS[0]); REQUESTS];
    let answers = curl::get(client, &urls)?;
    ensure!(answers.iter().all(curl::Answer::is_good), "{answers:?}");
    Ok(())
}

fn setting(workers: usize) -> String {
    let worker = format!("[worker]\ncount = {workers}\npoll = \"adaptive\"\n");
    worker + &ports(&seed::PORTS) + &service(seed::VIPS[0], &seed::SERVERS, "{ port = 80 }")
}

#[test]
fn tshark_reads_what_came_and_what_left_and_why_the_rest_did_not() -> Result<()> {
    if !has_root("tshark_reads_what_came_and_what_left_and_why_the_rest_did_not") {
        return Ok(());
    }
    let lab = Lab::new("lb_capture")?;
    let net = SeedLab::build(&lab, LinkOptions { queues: 2, ..LinkOptions::default() })?;
    let appliance = Appliance::start(&net.gateway, &setting(2))?;
    let file = appliance.dir().join("all.pcapng");
    let capture = start(&appliance, &net.gateway, &file, &[])?;
    get(&net.client)?;
    ask_nobody(&net.client)?;
    end(&capture)?;

    let (host, vip) = (&net.gateway, seed::VIPS[0]);
    let syns =
        read(host, &file, &format!("tcp.flags.syn==1 && tcp.flags.ack==0 && ip.dst=={vip}"))?;
    ensure!(syns.len() == REQUESTS, "each SYN came in once: {syns:#?}");
    let whence = |row: &Row| row[0] == "ens5" && row[1] == IN && row[3] == seed::CLIENT;
    ensure!(syns.iter().all(whence), "{syns:#?}");
    let handed = |row: &Row| row[2].starts_with("handed over to worker ");
    ensure!(syns.iter().all(|row| row[2].is_empty() || handed(row)), "{syns:#?}");
    ensure!(syns.iter().any(handed) && !syns.iter().all(handed), "two workers share: {syns:#?}");

    let left = "tcp.flags.syn==1 && tcp.flags.ack==0 && frame.packet_flags_direction==2";
    let left = read(host, &file, left)?;
    ensure!(left.len() == REQUESTS, "each SYN left once: {left:#?}");
    let on = |row: &Row| {
        row[0] != "ens5" && seed::SERVERS.contains(&row[4].as_str()) && row[3] != seed::CLIENT
    };
    ensure!(left.iter().all(on), "translated, through the servers' ports: {left:#?}");

    let dropped = read(host, &file, "frame.comment contains \"dropped\" && !icmp")?;
    ensure!(dropped.len() == 1, "{dropped:#?}");
    let want = ["ens5", IN, "dropped: unknown_port", seed::CLIENT, vip, "9", ""];
    ensure!(dropped[0] == want, "{dropped:#?}");
    let told = read(host, &file, "icmp.type==3")?;
    ensure!(told.len() == 1 && told[0][1] == OUT, "its sender is told: {told:#?}");

    let broken = read(host, &file, "_ws.malformed")?;
    ensure!(broken.is_empty(), "{broken:#?}");
    Ok(())
}

#[test]
fn a_filter_and_a_count_choose_and_one_captures_at_a_time() -> Result<()> {
    if !has_root("a_filter_and_a_count_choose_and_one_captures_at_a_time") {
        return Ok(());
    }
    let lab = Lab::new("lb_capture_filter")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &setting(1))?;
    let (host, name) = (&net.gateway, format!("s-{}", seed::VIPS[0]));
    let file = appliance.dir().join("some.pcapng");

    let args = ["--count", "5", "--snaplen", "60", "service", &name, "and", "inbound"];
    let capture = start(&appliance, host, &file, &args)?;
    let second = appliance.cli(host, &["capture", "--write", "/dev/null"])?;
    ensure!(!second.success && second.stderr.contains("somebody else"), "{}", second.stderr);
    get(&net.client)?;
    ensure!(capture.wait_exit(PATIENCE)?.success(), "five packets came, and it ended by itself");
    let rows = read(host, &file, "")?;
    ensure!(rows.len() == 5 && rows.iter().all(|row| row[1] == IN), "{rows:#?}");
    let longer =
        host.run("tshark", &["-r", file.to_str().context("UTF-8")?, "-Y", "frame.cap_len > 60"])?;
    ensure!(longer.ok()?.is_empty(), "the rest of each is left out");

    let drops = appliance.dir().join("drops.pcapng");
    let capture = start(&appliance, host, &drops, &["drop", "unknown_port"])?;
    get(&net.client)?;
    ask_nobody(&net.client)?;
    end(&capture)?;
    let rows = read(host, &drops, "")?;
    ensure!(rows.len() == 1 && rows[0][2] == "dropped: unknown_port", "{rows:#?}");

    let wrong =
        appliance.cli(host, &["capture", "--write", "/dev/null", "tcp", "drop", "no_flw"])?;
    let says = ["filter:1:10", "tcp drop no_flw", "^^^^^^", "did you mean `no_flow`?"];
    ensure!(!wrong.success && says.iter().all(|s| wrong.stderr.contains(s)), "{}", wrong.stderr);

    // One whose reader is killed makes room for the next.
    let killed = start(&appliance, host, &file, &[])?;
    killed.signal(Signal::SIGKILL)?;
    killed.wait_exit(PATIENCE)?;
    let deadline = Instant::now() + PATIENCE;
    while !appliance.cli(host, &["capture", "--write", "/dev/null", "--seconds", "0"])?.success {
        ensure!(Instant::now() < deadline, "the capture of a dead reader goes on");
    }
    get(&net.client)
}
