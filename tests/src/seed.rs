//! The lab of the study log that this project starts from, with plain servers in place of pods:
//!
//! ```text
//! client ens5 ── ens5 gateway ens6 ── ens5 webpod1
//!                             ens7 ── ens5 webpod2
//! ```
//!
//! The client has the VIPs' prefix on link. Every host has a route to every other through the
//! gateway, whose kernel forwards: traffic that leaks past the appliance works, and is counted.

use std::net::IpAddr;

use anyhow::Result;

use crate::host::Host;
use crate::lab::{Lab, LinkOptions};
use crate::server::Server;

/// The gateway's ports in the order of the configuration: to the client, to each server.
pub const PORTS: [&str; 3] = ["ens5", "ens6", "ens7"];
/// VIPs of `svc1`, `svc2` and `svc3`.
pub const VIPS: [&str; 3] = ["10.10.200.1", "10.10.200.2", "10.10.200.3"];
/// Their IPv6 twins.
pub const VIPS_V6: [&str; 3] = ["fd00:10:10:200::1", "fd00:10:10:200::2", "fd00:10:10:200::3"];
/// The client.
pub const CLIENT: &str = "10.10.200.6";
/// The client in IPv6.
pub const CLIENT_V6: &str = "fd00:10:10:200::6";
/// The servers, `webpod1` and `webpod2`.
pub const SERVERS: [&str; 2] = ["172.16.1.93", "172.16.2.115"];
/// The servers in IPv6.
pub const SERVERS_V6: [&str; 2] = ["fd00:172:16:1::93", "fd00:172:16:2::115"];
/// The gateway's addresses towards each server.
const ROUTERS: [[&str; 2]; 2] =
    [["172.16.1.1", "fd00:172:16:1::1"], ["172.16.2.1", "fd00:172:16:2::1"]];
/// Port of the servers and the services.
pub const HTTP: u16 = 80;
/// A second port of the servers, for UDP echo.
pub const ECHO: u16 = 7;

/// Hosts, links and running servers.
#[derive(Debug)]
pub struct SeedLab {
    /// The servers' processes.
    pub processes: Vec<Server>,
    /// Where requests come from.
    pub client: Host,
    /// Where the appliance runs.
    pub gateway: Host,
    /// `webpod1` and `webpod2`.
    pub servers: [Host; 2],
}

impl SeedLab {
    /// Lays it out, with servers that listen.
    ///
    /// # Errors
    /// Without root, or when the servers are not built.
    pub fn build(lab: &Lab, options: LinkOptions) -> Result<Self> {
        let client = lab.host("client")?;
        let gateway = lab.host("gateway")?;
        let servers = [lab.host("webpod1")?, lab.host("webpod2")?];
        gateway.forward()?;
        lab.link(&client, "ens5", &gateway, PORTS[0], options)?;
        attach(
            &client,
            &gateway,
            PORTS[0],
            [CLIENT, CLIENT_V6],
            ["10.10.200.5", "fd00:10:10:200::5"],
        )?;
        for (at, server) in servers.iter().enumerate() {
            lab.link(server, "ens5", &gateway, PORTS[at + 1], options)?;
            let own = [SERVERS[at], SERVERS_V6[at]];
            attach(server, &gateway, PORTS[at + 1], own, ROUTERS[at])?;
        }
        let processes =
            servers.iter().map(|s| Server::start(s, &[HTTP], &[ECHO])).collect::<Result<_>>()?;
        Ok(Self { processes, client, gateway, servers })
    }

    /// Deletes the link to a server, with the gateway's port, and makes it anew: same names, MACs and
    /// addresses.
    ///
    /// # Errors
    /// When the kernel refuses one of the two.
    pub fn remake_server_link(&self, lab: &Lab, at: usize) -> Result<()> {
        let (server, port) = (&self.servers[at], PORTS[at + 1]);
        self.gateway.ip(&["link", "del", port])?;
        lab.link(server, "ens5", &self.gateway, port, LinkOptions::default())?;
        attach(server, &self.gateway, port, [SERVERS[at], SERVERS_V6[at]], ROUTERS[at])
    }

    /// The MAC of the gateway's port `name`.
    ///
    /// # Errors
    /// When there is no such port.
    pub fn gateway_mac(&self, name: &str) -> Result<String> {
        self.gateway.mac(name)
    }
}

/// Addresses of both families on a host's `ens5` and on the gateway's port, and a default route.
fn attach(
    host: &Host,
    gateway: &Host,
    port: &str,
    own: [&str; 2],
    router: [&str; 2],
) -> Result<()> {
    for (own, router) in own.iter().zip(router) {
        let length = match (own.contains(':'), port == PORTS[0]) {
            (true, _) => 64,
            (false, true) => 29,
            (false, false) => 24,
        };
        host.address("ens5", &format!("{own}/{length}"))?;
        gateway.address(port, &format!("{router}/{length}"))?;
        host.route("default", router)?;
    }
    Ok(())
}

/// The client's addresses: on the far side of the appliance nobody may see them.
#[must_use]
pub fn client_addresses() -> Vec<IpAddr> {
    [CLIENT, CLIENT_V6].iter().filter_map(|address| address.parse().ok()).collect()
}
