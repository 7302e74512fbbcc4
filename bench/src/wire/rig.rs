use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};

use super::generator::{Size, Traffic};

/// What clients use. No interface carries it unless the peer itself needs that.
pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The first server address; there are [`BACKENDS`] of them.
pub const BACKEND: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 16);
/// Server addresses, all of one host. With one source address of the gateway they already are
/// eight pairs, so that ports do not run out.
pub const BACKENDS: u32 = 8;
/// UDP that the servers' link drops and counts.
pub const DISCARD: u16 = 9;
/// UDP that carries a time stamp and is received.
pub const PROBE: u16 = 10;
/// TCP that is answered.
pub const TCP: u16 = 80;
/// TCP that sends without end.
pub const BULK: u16 = 81;
/// Flows of the UDP cases.
pub const FLOWS: u32 = 1_024;
/// The first address of the client; there are [`CLIENTS`] of them.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
/// Client addresses that connect.
pub const CLIENTS: u32 = 8;
/// The gateway's port towards clients.
pub const NEAR: &str = "ens5";
/// The gateway's port towards servers.
pub const FAR: &str = "ens6";

const GENERATED: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 0);
const GATEWAY_NEAR: &str = "10.1.255.254";
const GATEWAY_FAR: &str = "10.2.255.254";

/// A client, a gateway and a server in a row. Each peer has one of its own, so that they can take
/// turns without being set up again.
#[derive(Debug)]
pub struct Rig {
    /// Where packets are made.
    pub client: Host,
    /// Where the peer runs.
    pub gateway: Host,
    /// Where packets end.
    pub server: Host,
}

/// Where the generator aims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// At the VIP.
    Vip,
    /// At the servers, spread over all of them.
    Backends,
}

impl Rig {
    /// Lays it out; `name` tells it apart from the others.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn build(lab: &Lab, name: &str) -> Result<Self> {
        let host = |role: &str| lab.host(&format!("{name}-{role}"));
        let rig = Self { client: host("client")?, gateway: host("gw")?, server: host("server")? };
        lab.link(&rig.client, NEAR, &rig.gateway, NEAR, LinkOptions::default())?;
        lab.link(&rig.gateway, FAR, &rig.server, NEAR, LinkOptions::default())?;
        rig.gateway.address(NEAR, &format!("{GATEWAY_NEAR}/16"))?;
        rig.gateway.address(FAR, &format!("{GATEWAY_FAR}/16"))?;
        for address in (0..CLIENTS).map(|n| after(CLIENT, n)) {
            rig.client.address(NEAR, &format!("{address}/16"))?;
        }
        for address in (0..BACKENDS).map(|n| after(BACKEND, n)) {
            rig.server.address(NEAR, &format!("{address}/16"))?;
        }
        rig.client.route("default", GATEWAY_NEAR)?;
        rig.server.route("default", GATEWAY_FAR)?;
        rig.gateway.forward()?;
        for host in [&rig.client, &rig.server] {
            // Closed connections keep their ports for a minute; the default has room for 131 072.
            host.sysctl("net.ipv4.tcp_max_tw_buckets", "2000000")?;
            host.sysctl("net.ipv4.tcp_tw_reuse", "1")?;
            host.sysctl("net.core.somaxconn", "4096")?;
        }
        // The far end of a live frame must have NAPI; an XDP program of the peer brings it too.
        let gro = rig.gateway.run("ethtool", &["-K", NEAR, "gro", "on"])?;
        gro.ok().context("switch NAPI on")?;
        rig.count_at_server()?;
        Ok(rig)
    }

    /// UDP to the discard port is counted and dropped as early as nft can, whoever sent it.
    fn count_at_server(&self) -> Result<()> {
        let rules = format!(
            "table netdev sink {{\n chain arrived {{\n \
             type filter hook ingress device \"{NEAR}\" priority 0;\n \
             udp dport {DISCARD} counter drop\n }}\n}}\n"
        );
        nft(&self.server, &rules)
    }

    /// Packets that the servers' rule has counted.
    ///
    /// # Errors
    /// When nft cannot be asked.
    pub fn discarded(&self) -> Result<u64> {
        let text = self.server.run("nft", &["-j", "list", "table", "netdev", "sink"])?.ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).context("parse nft's JSON")?;
        let all = json["nftables"].as_array().context("nft lists nothing")?;
        let rule = all.iter().find_map(|one| one.pointer("/rule/expr")).context("no rule")?;
        let parts = rule.as_array().context("the rule is empty")?;
        let counter = parts.iter().find_map(|part| part.pointer("/counter/packets"));
        counter.and_then(serde_json::Value::as_u64).context("the rule has no counter")
    }

    /// Traffic of the UDP cases, without a limit of its rate.
    ///
    /// # Errors
    /// When an interface has no MAC.
    pub fn traffic(&self, aim: Aim, size: Size) -> Result<Traffic> {
        let (target, targets) = match aim {
            Aim::Vip => (VIP, 1),
            Aim::Backends => (BACKEND, BACKENDS),
        };
        Ok(Traffic {
            interface: NEAR.to_owned(),
            to: mac(&self.gateway, NEAR)?,
            from: mac(&self.client, NEAR)?,
            source: GENERATED,
            target,
            targets,
            port: DISCARD,
            probe_port: PROBE,
            probe_every: None,
            flows: FLOWS,
            size,
            rate: None,
        })
    }
}

/// The address `n` after `first`.
#[must_use]
pub fn after(first: Ipv4Addr, n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(first.to_bits() + n)
}

/// The MAC of an interface, as bytes.
///
/// # Errors
/// When there is none.
pub fn mac(host: &Host, interface: &str) -> Result<[u8; 6]> {
    parse_mac(&host.mac(interface)?)
}

/// A MAC as people write it, `02:70:72:00:00:01`.
///
/// # Errors
/// When it is none.
pub fn parse_mac(text: &str) -> Result<[u8; 6]> {
    let bytes: Result<Vec<_>, _> = text.split(':').map(|b| u8::from_str_radix(b, 16)).collect();
    bytes.ok().and_then(|b| b.try_into().ok()).with_context(|| format!("{text} is no MAC"))
}

/// Loads rules on a host.
///
/// # Errors
/// When nft refuses them.
pub fn nft(host: &Host, rules: &str) -> Result<()> {
    use portreeve_tests::run_dir::RunDir;
    let dir = RunDir::new()?;
    let file = dir.path().join("rules");
    std::fs::write(&file, rules).context("write the rules")?;
    let file = file.to_str().context("the path of the rules is not UTF-8")?;
    host.run("nft", &["-f", file])?.ok().map(drop)
}
