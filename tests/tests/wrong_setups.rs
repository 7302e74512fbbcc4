//! Set-ups that are wrong in one thing, each made for real. The command that docs/wrong-setups.md
//! names must name the cause at the first try, in the words that stand there.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::bpffs::Bpffs;
use portreeve_tests::config::{ports, service};
use portreeve_tests::diagnosis::{
    SOON, WEB, check, config, diagnosed, doctor, finding, fine, lab, named, program, trace,
};
use portreeve_tests::flat::{self, FlatLab};
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::run_dir::RunDir;
use portreeve_tests::seed;
use portreeve_tests::skip::has_root;

/// Of the first server's subnet; nobody has it.
const NOBODY: &str = "172.16.1.200";

#[test]
fn a_queue_without_a_socket() -> Result<()> {
    let options = LinkOptions { queues: 2, ..LinkOptions::default() };
    let Some(net) = lab("a_queue_without_a_socket", options)? else { return Ok(()) };
    net.gateway.run("ethtool", &["-L", "ens5", "rx", "1"])?.ok()?;
    let appliance = Appliance::start(&net.gateway, &fine())?;
    ensure!(doctor(&net.gateway, &appliance, "queue_unserved")?.is_none(), "before the fault");
    net.gateway.run("ethtool", &["-L", "ens5", "rx", "2"])?.ok()?;
    let found = diagnosed(&net.gateway, &appliance, "queue_unserved")?;
    named(&found, "port ens5 has 2 receive queues, but only 1 have a socket")
}

#[test]
fn an_xdp_program_of_somebody_else() -> Result<()> {
    let Some(net) = lab("an_xdp_program_of_somebody_else", LinkOptions::default())? else {
        return Ok(());
    };
    let first = Appliance::start(&net.gateway, &fine())?;
    ensure!(doctor(&net.gateway, &first, "xdp_foreign")?.is_none(), "one's own is no stranger");
    let dir = RunDir::new()?;
    let bpffs = Bpffs::mount(dir.path().join("bpf"))?;
    let pins = bpffs.path().to_str().context("a path that is not UTF-8")?;
    let config = first.config_path();
    let config = config.to_str().context("a path that is not UTF-8")?;
    let args = ["doctor", config, "--socket", "/nowhere", "--pin-dir", pins, "--json"];
    let ran = net.gateway.run(&program()?, &args)?;
    let found = finding(&ran.stdout, "xdp_foreign")?.context(ran.stdout)?;
    named(&found, "port ens5 runs somebody else's XDP program")
}

#[test]
fn no_route_to_a_backend() -> Result<()> {
    let Some(net) = lab("no_route_to_a_backend", LinkOptions::default())? else { return Ok(()) };
    let found = check(&net.gateway, &config(seed::VIPS[0], &["192.0.2.9"]))?;
    named(&found, "backend 192.0.2.9 of service `s-10.10.200.1` has no route")
}

#[test]
fn no_route_back_to_the_client() -> Result<()> {
    let Some(net) = lab("no_route_back_to_the_client", LinkOptions::default())? else {
        return Ok(());
    };
    let appliance = Appliance::start(&net.gateway, &fine())?;
    let to = format!("{}:80", seed::VIPS[0]);
    let question = ["trace", "--from", "192.0.2.9:4000", "--to", &to];
    let ran = appliance.cli(&net.gateway, &question)?;
    named(&ran.stderr, "the kernel's routes lead to 192.0.2.9 through no port of this gateway")?;
    let told = trace(&net, &appliance, &[&question[1..], &["--in", "ens5"]].concat())?;
    named(&told, "replies would end here: no_route")
}

#[test]
fn a_dead_neighbour() -> Result<()> {
    let Some(net) = lab("a_dead_neighbour", LinkOptions::default())? else { return Ok(()) };
    let appliance = Appliance::start(&net.gateway, &config(seed::VIPS[0], &[NOBODY]))?;
    let found = diagnosed(&net.gateway, &appliance, "neighbour_dead")?;
    named(
        &found,
        "172.16.1.200 (a backend of service `s-10.10.200.1`) does not answer ARP on ens6",
    )?;
    let (from, to) = (format!("{}:4000", seed::CLIENT), format!("{}:80", seed::VIPS[0]));
    let told = trace(&net, &appliance, &["--from", &from, "--to", &to])?;
    named(&told, "it waits, and is dropped if nobody answers: hop_unresolved")
}

#[test]
fn a_vip_outside_of_every_subnet() -> Result<()> {
    let name = "a_vip_outside_of_every_subnet";
    let Some(net) = lab(name, LinkOptions::default())? else { return Ok(()) };
    let appliance = Appliance::start(&net.gateway, &config("192.0.2.80", &seed::SERVERS))?;
    let found = diagnosed(&net.gateway, &appliance, "vip_outside_subnets")?;
    named(&found, "VIP 192.0.2.80 of service `s-192.0.2.80` lies in no subnet of ens5, ens6, ens7")
}

#[test]
fn port_ranges_that_overlap() -> Result<()> {
    let Some(net) = lab("port_ranges_that_overlap", LinkOptions::default())? else {
        return Ok(());
    };
    net.gateway.sysctl("net.ipv4.ip_local_port_range", "32768 62000")?;
    let found = check(&net.gateway, &fine())?;
    named(
        &found,
        "snat.shared_ports 61000-65535 overlap the host's own ephemeral ports 32768-62000",
    )
}

#[test]
fn a_socket_that_listens_in_our_ports() -> Result<()> {
    let Some(net) = lab("a_socket_that_listens_in_our_ports", LinkOptions::default())? else {
        return Ok(());
    };
    let _held = net.gateway.enter(|| std::net::TcpListener::bind("0.0.0.0:61500"))??;
    let found = check(&net.gateway, &fine())?;
    named(&found, "snat.shared_ports 61000-65535 overlap a listening tcp socket on 0.0.0.0:61500")
}

#[test]
fn ports_of_different_mtu() -> Result<()> {
    let Some(net) = lab("ports_of_different_mtu", LinkOptions::default())? else { return Ok(()) };
    let appliance = Appliance::start(&net.gateway, &fine())?;
    ensure!(doctor(&net.gateway, &appliance, "mtu_mismatch")?.is_none(), "before the fault");
    net.gateway.ip_batch("link set ens6 mtu 1400")?;
    let found = diagnosed(&net.gateway, &appliance, "mtu_mismatch")?;
    let words =
        "packets of 1500 bytes pass through ens5, but only 1400 on the way to backend 172.16.1.93";
    named(&found, words)
}

#[test]
fn a_packet_too_big_for_the_way_out() -> Result<()> {
    let options = LinkOptions { mtu: 9001, ..LinkOptions::default() };
    let Some(net) = lab("a_packet_too_big_for_the_way_out", options)? else { return Ok(()) };
    for port in ["ens6", "ens7"] {
        net.gateway.ip_batch(&format!("link set {port} mtu 1500"))?;
    }
    let appliance = Appliance::start(&net.gateway, &fine())?;
    let (from, to) = (format!("{}:4000", seed::CLIENT), format!("{}:80", seed::VIPS[0]));
    let told = trace(&net, &appliance, &["--from", &from, "--to", &to, "--size", "4000"])?;
    named(&told, "it ends here, and its sender is told: too_big")
}

#[test]
fn a_private_bpffs() -> Result<()> {
    let Some(net) = lab("a_private_bpffs", LinkOptions::default())? else { return Ok(()) };
    let dir = RunDir::new()?;
    let (pins, config) = (dir.path().join("bpf"), dir.path().join("gateway.toml"));
    std::fs::create_dir(&pins).context("make the pin directory")?;
    std::fs::write(&config, fine()).context("write a configuration")?;
    let (pins, program) = (pins.display(), program()?);
    let script = format!(
        "mount -t bpf bpf {pins} && exec {program} doctor {} --socket /nowhere --pin-dir {pins} --json",
        config.display()
    );
    let ran = net.gateway.run("unshare", &["--mount", "sh", "-c", &script])?;
    let found = finding(&ran.stdout, "bpffs")?.with_context(|| format!("{ran:?}"))?;
    named(&found, "is seen in this mount namespace only")
}

#[test]
fn a_port_that_is_down() -> Result<()> {
    let Some(net) = lab("a_port_that_is_down", LinkOptions::default())? else { return Ok(()) };
    net.gateway.ip_batch("link set ens7 down")?;
    named(&check(&net.gateway, &fine())?, "port ens7 is down")
}

#[test]
fn a_port_without_carrier() -> Result<()> {
    let Some(net) = lab("a_port_without_carrier", LinkOptions::default())? else { return Ok(()) };
    let appliance = Appliance::start(&net.gateway, &fine())?;
    ensure!(doctor(&net.gateway, &appliance, "no_carrier")?.is_none(), "before the fault");
    net.servers[1].ip_batch("link set ens5 down")?;
    let found = diagnosed(&net.gateway, &appliance, "no_carrier")?;
    named(&found, "port ens7 is up but has no carrier")
}

#[test]
fn a_port_that_does_not_exist() -> Result<()> {
    let Some(net) = lab("a_port_that_does_not_exist", LinkOptions::default())? else {
        return Ok(());
    };
    let found = check(&net.gateway, &fine().replace("ens7", "enp7s0"))?;
    named(&found, "port enp7s0 does not exist on this host")
}

#[test]
fn a_vip_that_linux_owns() -> Result<()> {
    let Some(net) = lab("a_vip_that_linux_owns", LinkOptions::default())? else { return Ok(()) };
    let found = check(&net.gateway, &config("10.10.200.5", &seed::SERVERS))?;
    named(&found, "VIP 10.10.200.5 of service `s-10.10.200.5` is an address of this host (on ens5)")
}

#[test]
fn a_backend_behind_an_interface_that_is_no_port() -> Result<()> {
    let name = "a_backend_behind_an_interface_that_is_no_port";
    let Some(net) = lab(name, LinkOptions::default())? else { return Ok(()) };
    let two = ports(&seed::PORTS[..2]) + &service(seed::VIPS[0], &seed::SERVERS, WEB);
    let words = "is routed through ens7 (route 172.16.2.0/24), which is not a [[port]]";
    named(&check(&net.gateway, &two)?, words)
}

#[test]
fn a_backend_on_the_gateway_itself() -> Result<()> {
    let Some(net) = lab("a_backend_on_the_gateway_itself", LinkOptions::default())? else {
        return Ok(());
    };
    let found = check(&net.gateway, &config(seed::VIPS[0], &["172.16.1.1"]))?;
    named(&found, "backend 172.16.1.1 of service `s-10.10.200.1` is an address of this host")
}

#[test]
fn no_source_address_of_a_family() -> Result<()> {
    let Some(net) = lab("no_source_address_of_a_family", LinkOptions::default())? else {
        return Ok(());
    };
    net.gateway.ip_batch(
        "address del fd00:172:16:1::1/64 dev ens6\n\
         route add fd00:172:16:1::/64 dev ens6",
    )?;
    let found = check(&net.gateway, &config(seed::VIPS_V6[0], &[seed::SERVERS_V6[0]]))?;
    named(&found, "port ens6 has no global, permanent IPv6 address to be the source")
}

#[test]
fn a_port_that_no_service_has() -> Result<()> {
    let Some(net) = lab("a_port_that_no_service_has", LinkOptions::default())? else {
        return Ok(());
    };
    let appliance = Appliance::start(&net.gateway, &fine())?;
    let (from, to) = (format!("{}:4000", seed::CLIENT), format!("{}:8080", seed::VIPS[0]));
    let told = trace(&net, &appliance, &["--from", &from, "--to", &to])?;
    named(&told, "10.10.200.1 is ours, but no service has this port")
}

#[test]
fn a_service_whose_backends_are_all_drained() -> Result<()> {
    let name = "a_service_whose_backends_are_all_drained";
    let Some(net) = lab(name, LinkOptions::default())? else { return Ok(()) };
    let backend = format!("\"{}\"", seed::SERVERS[0]);
    let drained = format!("{{ address = {backend}, weight = 0 }}");
    let text = config(seed::VIPS[0], &[seed::SERVERS[0]])
        .replace(&format!("[{backend}]"), &format!("[{drained}]"));
    let appliance = Appliance::start(&net.gateway, &text)?;
    let (from, to) = (format!("{}:4000", seed::CLIENT), format!("{}:80", seed::VIPS[0]));
    let told = trace(&net, &appliance, &["--from", &from, "--to", &to])?;
    named(&told, "0 of 1 backends take new connections")?;
    named(&told, "no_backend")
}

#[test]
fn a_vip_that_is_not_announced_there() -> Result<()> {
    let Some(net) = lab("a_vip_that_is_not_announced_there", LinkOptions::default())? else {
        return Ok(());
    };
    let text = fine().replace("ports = [", "announce = [\"ens6\"]\nports = [");
    let appliance = Appliance::start(&net.gateway, &text)?;
    let told = trace(&net, &appliance, &["--from", seed::CLIENT, "--to", seed::VIPS[0]])?;
    named(&told, "it ends here: not_announced")
}

#[test]
fn a_file_that_was_refused_by_the_running_gateway() -> Result<()> {
    let name = "a_file_that_was_refused_by_the_running_gateway";
    let Some(net) = lab(name, LinkOptions::default())? else { return Ok(()) };
    let appliance = Appliance::start(&net.gateway, &fine())?;
    appliance.reload(&fine().replace("port = 80", "port = 80000"))?;
    let status = appliance.cli(&net.gateway, &["status"])?.ok()?;
    named(&status, "the last reading was refused, the one before is in force")?;
    let found = diagnosed(&net.gateway, &appliance, "config_refused")?;
    named(&found, "the configuration file was refused, the one before is in force")
}

#[test]
fn offloads_that_merge_packets_in_skb_mode() -> Result<()> {
    let name = "offloads_that_merge_packets_in_skb_mode";
    let Some(net) = lab(name, LinkOptions::default())? else { return Ok(()) };
    let text = fine().replace("name = \"ens5\"", "name = \"ens5\"\nmode = \"skb\"");
    let appliance = Appliance::start(&net.gateway, &text)?;
    net.gateway.run("ethtool", &["-K", "ens5", "gro", "on", "rxvlan", "on"])?.ok()?;
    let found = diagnosed(&net.gateway, &appliance, "offloads")?;
    let words =
        "port ens5 is in skb mode, and gro, rxvlan merge or hide packets before they are seen";
    named(&found, words)?;
    net.gateway.run("ethtool", &["-K", "ens5", "gro", "off", "rxvlan", "off"])?.ok()?;
    ensure!(doctor(&net.gateway, &appliance, "offloads")?.is_none(), "what it said helps");
    Ok(())
}

/// A second host has the VIPs of both families before the gateway starts.
#[test]
fn an_address_that_another_host_has() -> Result<()> {
    let Some(net) = lab("an_address_that_another_host_has", LinkOptions::default())? else {
        return Ok(());
    };
    net.client.address("ens5", &format!("{}/29", seed::VIPS[0]))?;
    net.client.address("ens5", &format!("{}/64", seed::VIPS_V6[0]))?;
    let other = net.client.mac("ens5")?;
    let both = fine() + &service(seed::VIPS_V6[0], &seed::SERVERS_V6, WEB);
    let dir = RunDir::new()?;
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, &both).context("write a configuration")?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    let asked = ["doctor", file, "--socket", "/nowhere", "--probe", "--json"];
    let ran = net.gateway.run(&program()?, &asked)?;
    let found = finding(&ran.stdout, "address_conflict")?.context(ran.stdout)?;
    named(&found, "10.10.200.1 is also claimed by")?;
    ensure!(found.contains(&other), "{found}");

    let appliance = Appliance::start(&net.gateway, &both)?;
    let status = appliance.cli(&net.gateway, &["status"])?.ok()?;
    for vip in [seed::VIPS[0], seed::VIPS_V6[0]] {
        let alarm = format!("ALARM: {vip} is also claimed by {other} on ens5");
        ensure!(status.contains(&alarm), "{alarm}?\n{status}\n{}", appliance.log_tail());
        let logged =
            format!("{vip} is also claimed by {other} on ens5: two stations answer for it");
        ensure!(appliance.log().contains(&logged), "{}", appliance.log_tail());
    }
    named(&status, "ALARM: 10.10.200.1 is also claimed by")?;
    let found = diagnosed(&net.gateway, &appliance, "address_conflict")?;
    named(&found, "10.10.200.1 is also claimed by")
}

/// A second host takes a VIP while the gateway runs, and says so as keepalived and others do.
#[test]
fn an_address_that_another_host_takes_later() -> Result<()> {
    let name = "an_address_that_another_host_takes_later";
    let Some(net) = lab(name, LinkOptions::default())? else { return Ok(()) };
    let other = net.client.mac("ens5")?;
    let metrics = "[gateway]\nmetrics = \"127.0.0.1:9100\"\n".to_owned();
    let both = metrics + &fine() + &service(seed::VIPS_V6[0], &seed::SERVERS_V6, WEB);
    let appliance = Appliance::start(&net.gateway, &both)?;
    ensure!(doctor(&net.gateway, &appliance, "address_conflict")?.is_none(), "before the fault");
    net.client.sysctl("net.ipv4.conf.ens5.arp_notify", "1")?;
    net.client.sysctl("net.ipv6.conf.ens5.ndisc_notify", "1")?;
    net.client.address("ens5", &format!("{}/29", seed::VIPS[0]))?;
    net.client.address("ens5", &format!("{}/64", seed::VIPS_V6[0]))?;
    net.client.ip_batch(
        "link set ens5 address 02:70:72:ff:00:09\nlink set ens5 address 02:70:72:ff:00:0a",
    )?;
    let began = Instant::now();
    for vip in [seed::VIPS[0], seed::VIPS_V6[0]] {
        let alarm = format!("ALARM: {vip} is also claimed by 02:70:72:ff:00:0");
        loop {
            let status = appliance.cli(&net.gateway, &["status"])?.ok()?;
            if status.contains(&alarm) {
                break;
            }
            ensure!(began.elapsed() < SOON, "{alarm}? (not {other})\n{status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let text = net.gateway.run("curl", &["--silent", "http://127.0.0.1:9100/metrics"])?.ok()?;
    let metric = format!("portreeve_address_conflicts{{address=\"{}\"", seed::VIPS[0]);
    ensure!(text.contains(&metric), "{text}");
    Ok(())
}

/// A VIP that is added while the gateway runs is asked for before it is claimed.
#[test]
fn an_address_that_another_host_has_when_it_is_added() -> Result<()> {
    let name = "an_address_that_another_host_has_when_it_is_added";
    let Some(net) = lab(name, LinkOptions::default())? else { return Ok(()) };
    let appliance = Appliance::start(&net.gateway, &fine())?;
    net.client.address("ens5", &format!("{}/29", seed::VIPS[1]))?;
    appliance.reload(&(fine() + &service(seed::VIPS[1], &seed::SERVERS, WEB)))?;
    let status = appliance.cli(&net.gateway, &["status"])?.ok()?;
    let alarm = format!("ALARM: {} is also claimed by {}", seed::VIPS[1], net.client.mac("ens5")?);
    ensure!(status.contains(&alarm), "{alarm}?\n{status}\n{}", appliance.log_tail());
    Ok(())
}

/// Nobody listens to a doctor who finds something with everybody.
#[test]
fn a_host_that_is_right_is_found_fine() -> Result<()> {
    let Some(net) = lab("a_host_that_is_right_is_found_fine", LinkOptions::default())? else {
        return Ok(());
    };
    let both = fine() + &service(seed::VIPS_V6[0], &seed::SERVERS_V6, WEB);
    let appliance = Appliance::start(&net.gateway, &both)?;
    let pins = appliance.pin_dir();
    let pins = pins.to_str().context("a path that is not UTF-8")?;
    let began = Instant::now();
    loop {
        let ran = appliance.cli(&net.gateway, &["doctor", "--probe", "--pin-dir", pins])?;
        let well = ran.success && ran.stdout.ends_with("0 errors, 0 warnings\n");
        // A neighbour is dead until it has been asked.
        if well {
            println!("{}", ran.stdout);
            return Ok(());
        }
        ensure!(began.elapsed() < SOON, "{}{}", ran.stdout, ran.stderr);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn in_mode(mode: &str, text: &str) -> String {
    text.replace("ports = [", &format!("mode = \"{mode}\"\nports = ["))
}

/// Begins a connection that gets no answer, from this port of the client.
fn in_vain(client: &Host, from: u16, to: &str) -> Result<()> {
    let (from, url) = (from.to_string(), format!("http://{to}/"));
    let args = ["--silent", "--max-time", "1", "--local-port", &from, &url];
    let ran = client.run("curl", &args)?;
    ensure!(!ran.success, "it was answered: {}", ran.stdout);
    Ok(())
}

#[test]
fn forwarding_that_is_off_with_a_router_address() -> Result<()> {
    let name = "forwarding_that_is_off_with_a_router_address";
    let Some(net) = lab(name, LinkOptions::default())? else { return Ok(()) };
    let router = "[[router]]\naddress = \"172.16.1.254\"\nannounce = [\"ens6\"]\n";
    let text = ports(&seed::PORTS) + router + &service(seed::VIPS[0], &seed::SERVERS, WEB);
    let appliance = Appliance::start(&net.gateway, &in_mode("nat", &text))?;
    ensure!(doctor(&net.gateway, &appliance, "forwarding_off")?.is_none(), "before the fault");
    net.gateway.sysctl("net.ipv4.ip_forward", "0")?;
    let found = diagnosed(&net.gateway, &appliance, "forwarding_off")?;
    named(&found, "172.16.1.254 is a router address, but net.ipv4.ip_forward is 0")
}

#[test]
fn a_nat_reply_that_never_comes() -> Result<()> {
    let Some(net) = lab("a_nat_reply_that_never_comes", LinkOptions::default())? else {
        return Ok(());
    };
    net.servers[0].ip(&["route", "del", "default"])?;
    let text = in_mode("nat", &config(seed::VIPS[0], &[seed::SERVERS[0]]));
    let appliance = Appliance::start(&net.gateway, &text)?;
    in_vain(&net.client, 45_000, seed::VIPS[0])?;
    let (from, to) = (format!("{}:45000", seed::CLIENT), format!("{}:80", seed::VIPS[0]));
    let told = appliance.cli(&net.gateway, &["trace", "--from", &from, "--to", &to])?.stdout;
    let words = "nothing has come back from 172.16.1.93: in mode nat its route to 10.10.200.6 must lead through this gateway";
    named(&told, words)
}

#[test]
fn a_dsr_backend_without_the_vip() -> Result<()> {
    if !has_root("a_dsr_backend_without_the_vip") {
        return Ok(());
    }
    let lab = Lab::new("a_dsr_backend_without_the_vip")?;
    let net = FlatLab::build(&lab, LinkOptions::default())?;
    for server in &net.servers {
        server.ip(&["address", "del", &format!("{}/32", flat::VIPS[0]), "dev", "lo"])?;
    }
    let text = ports(&[flat::PORT]) + &service(flat::VIPS[0], &flat::SERVERS[0], WEB);
    let appliance = Appliance::start(&net.gateway, &in_mode("dsr-l2", &text))?;
    in_vain(&net.client, 45_000, flat::VIPS[0])?;
    let (from, to) = (format!("{}:45000", flat::CLIENT[0]), format!("{}:80", flat::VIPS[0]));
    let told = appliance.cli(&net.gateway, &["trace", "--from", &from, "--to", &to])?.stdout;
    named(&told, "10.5.0.6 has not gone on since its first packet: in mode dsr-l2 10.5.0.9")?;
    named(&told, "must have the VIP on a loopback")
}
