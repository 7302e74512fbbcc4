//! Everybody on one link, as mode `dsr-l2` wants it:
//!
//! ```text
//! client ── switch ── gateway (one port)
//!            │  └──── webpod2
//!          webpod1
//! ```
//!
//! Servers have the VIPs on their loopback, say nothing of that on the link, and answer clients
//! themselves.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;

use crate::host::Host;
use crate::lab::{Lab, LinkOptions};
use crate::seed::{ECHO, HTTP};
use crate::server::Server;

/// The gateway's only port.
pub const PORT: &str = "ens5";
/// A VIP of each family, on the servers' loopback.
pub const VIPS: [&str; 2] = ["10.5.0.100", "fd00:5::100"];
/// The client.
pub const CLIENT: [&str; 2] = ["10.5.0.6", "fd00:5::6"];
/// The gateway itself.
pub const GATEWAY: [&str; 2] = ["10.5.0.1", "fd00:5::1"];
/// The servers, by family.
pub const SERVERS: [[&str; 2]; 2] = [["10.5.0.93", "10.5.0.94"], ["fd00:5::93", "fd00:5::94"]];

/// Hosts, links and running servers.
#[derive(Debug)]
pub struct FlatLab {
    /// The servers' processes.
    pub processes: Vec<Server>,
    /// Where requests come from.
    pub client: Host,
    /// Where the appliance runs.
    pub gateway: Host,
    /// `webpod1` and `webpod2`.
    pub servers: [Host; 2],
    /// The bridge that joins them.
    pub switch: Host,
}

impl FlatLab {
    /// Lays it out, with servers that listen.
    ///
    /// # Errors
    /// Without root, or when the servers are not built.
    pub fn build(lab: &Lab, options: LinkOptions) -> Result<Self> {
        let switch = lab.host("switch")?;
        let [client, gateway] = [lab.host("client")?, lab.host("gateway")?];
        let servers = [lab.host("webpod1")?, lab.host("webpod2")?];
        let addresses =
            [CLIENT, GATEWAY, [SERVERS[0][0], SERVERS[1][0]], [SERVERS[0][1], SERVERS[1][1]]];
        let hosts = [&client, &gateway, &servers[0], &servers[1]];
        for (at, (host, [v4, v6])) in hosts.into_iter().zip(addresses).enumerate() {
            lab.link(host, PORT, &switch, &format!("port{at}"), options)?;
            host.address(PORT, &format!("{v4}/24"))?;
            host.address(PORT, &format!("{v6}/64"))?;
        }
        switch.bridge("br0", &["port0", "port1", "port2", "port3"])?;
        gateway.forward()?;
        for server in &servers {
            hide(server)?;
            server.address("lo", &format!("{}/32", VIPS[0]))?;
            server.address("lo", &format!("{}/128", VIPS[1]))?;
        }
        let echo: Vec<_> = VIPS
            .iter()
            .map(|vip| Ok(SocketAddr::new(vip.parse::<IpAddr>()?, ECHO)))
            .collect::<Result<_>>()?;
        let start = |server| Server::start_with(server, &[HTTP], &[], &echo);
        let processes = servers.iter().map(start).collect::<Result<_>>()?;
        Ok(Self { processes, client, gateway, servers, switch })
    }
}

/// Neither answers ARP for what is on the loopback nor asks in its name.
fn hide(server: &Host) -> Result<()> {
    server.sysctl("net.ipv4.conf.all.arp_ignore", "1")?;
    server.sysctl("net.ipv4.conf.all.arp_announce", "2")
}
