use anyhow::{Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::curl;
use portreeve_tests::host::Host;
use portreeve_tests::seed::{PORTS, SERVERS, SeedLab, VIPS};

const REQUESTS: usize = 10;
const NAMES: [&str; 2] = ["webpod1", "webpod2"];

/// Who is where.
pub fn picture() {
    println!(
        "
  client                 gateway                           servers
  10.10.200.6 ens5 --- ens5 [ portreeve ] ens6 --- webpod1 {}
                                          ens7 --- webpod2 {}
  services: svc1 {}  svc2 {}  svc3 {}, TCP port 80",
        SERVERS[0], SERVERS[1], VIPS[0], VIPS[1], VIPS[2]
    );
}

/// That the appliance is up.
pub fn running(appliance: &Appliance) -> Result<()> {
    println!("\nportreeve runs as process {}", appliance.process()?.pid());
    Ok(())
}

/// Requests, neighbours, pings, counters.
pub fn all(net: &SeedLab, appliance: &Appliance) -> Result<()> {
    requests(net)?;
    pings(&net.client)?;
    for command in ["status", "services"] {
        heading(&format!("portreeve {command}"));
        print!("{}", appliance.cli(&net.gateway, &[command])?.ok()?);
    }
    Ok(())
}

/// Ten requests to each VIP, who answered, and which MAC the client has learnt for it.
pub fn requests(net: &SeedLab) -> Result<()> {
    heading(&format!("{REQUESTS} requests to each VIP: who answered"));
    println!(
        "{:<8} {:<14} {:>8} {:>8} {:>8}   MAC, as the client has it",
        "service", "VIP", NAMES[0], NAMES[1], "failed"
    );
    let own = net.gateway_mac(PORTS[0])?;
    let mut failed = 0;
    for (at, vip) in VIPS.iter().enumerate() {
        let answers = curl::get(&net.client, &vec![format!("http://{vip}/"); REQUESTS])?;
        let by = |name: &str| answers.iter().filter(|a| a.is_good() && a.hostname == name).count();
        let bad = answers.iter().filter(|answer| !answer.is_good()).count();
        let mac = net.client.neighbour(vip)?.unwrap_or_else(|| "none".to_owned());
        let whose = if mac == own { "the gateway's ens5" } else { "not the gateway's" };
        println!(
            "svc{:<5} {vip:<14} {:>8} {:>8} {bad:>8}   {mac} ({whose})",
            at + 1,
            by(NAMES[0]),
            by(NAMES[1])
        );
        failed += bad;
        ensure!(mac == own, "{vip} has the MAC {mac}, the gateway's ens5 has {own}");
    }
    one_answer(&net.client)?;
    ensure!(failed == 0, "{failed} requests failed");
    Ok(())
}

fn one_answer(client: &Host) -> Result<()> {
    heading(&format!("one answer in full: curl http://{}/", VIPS[0]));
    let text =
        client.run("curl", &["--silent", "--max-time", "10", &format!("http://{}/", VIPS[0])])?;
    print!("{}", text.ok()?);
    Ok(())
}

fn pings(client: &Host) -> Result<()> {
    heading("ping of each VIP");
    for vip in VIPS {
        let text = client.run("ping", &["-c", "3", "-i", "0.2", "-W", "2", vip])?.ok()?;
        let closing = text.lines().rev().take(2).collect::<Vec<_>>();
        println!("{vip:<14} {}", closing.into_iter().rev().collect::<Vec<_>>().join("; "));
    }
    Ok(())
}

/// How to look around in a lab that stays up.
pub fn how_to_enter(net: &SeedLab, appliance: &Appliance) {
    heading("the lab stays up");
    for host in [&net.client, &net.gateway, &net.servers[0], &net.servers[1]] {
        println!(
            "  enter {:<8} nsenter --net=/run/netns/{} bash",
            host.name(),
            host.netns().name()
        );
    }
    let client = net.client.netns().name();
    println!("  a request      nsenter --net=/run/netns/{client} curl http://{}/", VIPS[0]);
    println!("  neighbours     ip -n {client} neigh");
    println!("  configuration  {}  (edit it: it is reloaded)", appliance.config_path().display());
    println!("  log            {}", appliance.log_path().display());
    println!(
        "  counters       {} status --socket {}",
        appliance.binary().display(),
        appliance.socket_path().display()
    );
    println!("  clean up       cargo xtask demo --clean");
}

/// A line above what follows.
pub fn heading(text: &str) {
    println!("\n--- {text}");
}
