//! Two gateways beside each other, between one network of clients and one of servers:
//!
//! ```text
//! client ens5 ──┐                     ┌── ens5 webpod1
//!              lan ── ens5 gw1 ens6 ── back
//!              lan ── ens5 gw2 ens6 ── back
//!                                     └── ens5 webpod2
//! ```

use anyhow::Result;

use crate::host::Host;
use crate::lab::{Lab, LinkOptions};
use crate::seed::{ECHO, HTTP};
use crate::server::Server;

/// The gateways' ports in the order of the configuration: to the clients, to the servers.
pub const PORTS: [&str; 2] = ["ens5", "ens6"];
/// Servers in both families.
pub const SERVERS: [&str; 2] = ["172.16.0.11", "172.16.0.12"];
/// The same in IPv6.
pub const SERVERS_V6: [&str; 2] = ["fd00:172:16::11", "fd00:172:16::12"];

/// Where the API server of [`PairLab::add_control`] is, on links that are no ports of the gateways.
pub const API: &str = "192.168.77.2";

/// Addresses that the servers can have as their router, and that move between the gateways.
pub const ROUTERS: [&str; 2] = ["172.16.0.254", "fd00:172:16::fe"];

/// Hosts, links and running servers.
#[derive(Debug)]
pub struct PairLab {
    /// The servers' processes.
    pub processes: Vec<Server>,
    /// Where requests come from.
    pub client: Host,
    /// Where the appliances run.
    pub gateways: [Host; 2],
    /// `webpod1` and `webpod2`.
    pub servers: [Host; 2],
    switches: [Host; 2],
}

impl PairLab {
    /// Lays it out, with servers that listen.
    ///
    /// # Errors
    /// Without root, or when the servers are not built.
    pub fn build(lab: &Lab) -> Result<Self> {
        let options = LinkOptions::default();
        let client = lab.host("client")?;
        let gateways = [lab.host("gw1")?, lab.host("gw2")?];
        let servers = [lab.host("webpod1")?, lab.host("webpod2")?];
        let [lan, back] = [lab.host("lan")?, lab.host("back")?];
        lab.link(&client, "ens5", &lan, "client", options)?;
        client.address("ens5", "10.10.200.6/24")?;
        client.address("ens5", "fd00:10:10:200::6/64")?;
        for (at, gateway) in gateways.iter().enumerate() {
            let (port, last) = (format!("gw{}", at + 1), at + 4);
            gateway.forward()?;
            lab.link(gateway, PORTS[0], &lan, &port, options)?;
            lab.link(gateway, PORTS[1], &back, &port, options)?;
            gateway.address(PORTS[0], &format!("10.10.200.{last}/24"))?;
            gateway.address(PORTS[0], &format!("fd00:10:10:200::{last}/64"))?;
            gateway.address(PORTS[1], &format!("172.16.0.{last}/24"))?;
            gateway.address(PORTS[1], &format!("fd00:172:16::{last}/64"))?;
        }
        for (at, server) in servers.iter().enumerate() {
            lab.link(server, "ens5", &back, &format!("pod{}", at + 1), options)?;
            server.address("ens5", &format!("{}/24", SERVERS[at]))?;
            server.address("ens5", &format!("{}/64", SERVERS_V6[at]))?;
        }
        lan.bridge("br0", &["client", "gw1", "gw2"])?;
        back.bridge("br0", &["gw1", "gw2", "pod1", "pod2"])?;
        let processes =
            servers.iter().map(|s| Server::start(s, &[HTTP], &[ECHO])).collect::<Result<_>>()?;
        Ok(Self { processes, client, gateways, servers, switches: [lan, back] })
    }

    /// One more host in the network of the clients, `ens5` with this address.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn add_client(&self, lab: &Lab, name: &str, address: &str) -> Result<Host> {
        let (host, [lan, _]) = (lab.host(name)?, &self.switches);
        lab.link(&host, "ens5", lan, name, LinkOptions::default())?;
        host.address("ens5", address)?;
        lan.ip(&["link", "set", name, "master", "br0"])?;
        Ok(host)
    }

    /// A host for a control plane, which both gateways reach, at [`API`].
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn add_control(&self, lab: &Lab) -> Result<Host> {
        let (control, names) = (lab.host("control")?, ["gw1", "gw2"]);
        for (at, (gateway, name)) in self.gateways.iter().zip(names).enumerate() {
            lab.link(gateway, "mgmt", &control, name, LinkOptions::default())?;
            gateway.address("mgmt", &format!("192.168.77.{}/24", at + 11))?;
        }
        control.bridge("br0", &names)?;
        control.address("br0", &format!("{API}/24"))?;
        Ok(control)
    }
}
