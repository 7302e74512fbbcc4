//! A path with routers on both sides of the appliance:
//!
//! ```text
//! client ── near1 ── near2 ── gateway ── far1 ── far2 ── server
//!        0        1        2          3       4       5
//! ```
//!
//! Link `n` is `10.77.n.0/24` and `fd00:77:n::/64`; the host on its left is 1, on its right 2. Each host
//! has `right` towards the server and `left` towards the client.

use anyhow::Result;

use crate::host::Host;
use crate::lab::{Lab, LinkOptions};
use crate::seed;
use crate::server::Server;

/// The gateway's ports.
pub const PORTS: [&str; 2] = ["left", "right"];
/// VIPs, on the link between the nearest router and the gateway.
pub const VIPS: [&str; 2] = ["10.77.2.100", "fd00:77:2::100"];
/// The server.
pub const SERVERS: [&str; 2] = ["10.77.5.2", "fd00:77:5::2"];
/// The gateway's own addresses towards the server, from which it speaks to it.
pub const SOURCES: [&str; 2] = ["10.77.3.1", "fd00:77:3::1"];
/// The link between the client's routers, and that between the server's.
pub const INNER: [usize; 2] = [1, 4];
/// The gateway's links.
const OUTER: [usize; 2] = [2, 3];
/// Spreads what an interface sends over its queues.
const SPREAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bpf/spread.bpf.o");

const NAMES: [&str; 7] = ["client", "near1", "near2", "gateway", "far1", "far2", "server"];

/// Hosts, links and a running server.
#[derive(Debug)]
pub struct Chain {
    /// The server's process.
    pub process: Server,
    /// From the client to the server.
    pub hosts: Vec<Host>,
}

impl Chain {
    /// Lays it out; link `narrow` takes packets of `mtu` bytes, all others 1 500.
    ///
    /// # Errors
    /// Without root, or when the server is not built.
    pub fn build(lab: &Lab, narrow: usize, mtu: u32) -> Result<Self> {
        Self::with_links(lab, |link| LinkOptions {
            mtu: if link == narrow { mtu } else { 1_500 },
            queues: 1,
        })
    }

    /// Lays it out with so many queues at the gateway, over which its neighbours spread packets one by
    /// one, whatever flow they are of.
    ///
    /// # Errors
    /// As [`Self::build`], and when the kernel refuses the program that spreads them.
    pub fn spread(lab: &Lab, queues: u32) -> Result<Self> {
        let chain = Self::with_links(lab, |link| {
            let queues = if OUTER.contains(&link) { queues } else { 1 };
            LinkOptions { queues, ..LinkOptions::default() }
        })?;
        for (neighbour, port) in [(&chain.hosts[2], "right"), (&chain.hosts[4], "left")] {
            let tc = |line: &str| {
                let words: Vec<_> = line.split_whitespace().collect();
                neighbour.run("tc", &words)?.ok()
            };
            tc(&format!("qdisc add dev {port} clsact"))?;
            let filter = format!("filter add dev {port} egress bpf direct-action");
            tc(&format!("{filter} object-file {SPREAD} section tc"))?;
        }
        Ok(chain)
    }

    fn with_links(lab: &Lab, options: impl Fn(usize) -> LinkOptions) -> Result<Self> {
        let hosts = NAMES.iter().map(|name| lab.host(name)).collect::<Result<Vec<_>>>()?;
        for (link, pair) in hosts.windows(2).enumerate() {
            lab.link(&pair[0], "right", &pair[1], "left", options(link))?;
            for (host, port, end) in [(&pair[0], "right", 1), (&pair[1], "left", 2)] {
                host.address(port, &format!("10.77.{link}.{end}/24"))?;
                host.address(port, &format!("fd00:77:{link}::{end}/64"))?;
            }
        }
        for (at, host) in hosts.iter().enumerate() {
            host.forward()?;
            for link in 0..NAMES.len() - 1 {
                let (next, end) = match link {
                    far if far > at => (at, 2),
                    near if near + 1 < at => (at - 1, 1),
                    _ => continue,
                };
                host.route(&format!("10.77.{link}.0/24"), &format!("10.77.{next}.{end}"))?;
                host.route(&format!("fd00:77:{link}::/64"), &format!("fd00:77:{next}::{end}"))?;
            }
        }
        let process = Server::start(&hosts[6], &[seed::HTTP], &[seed::ECHO])?;
        Ok(Self { process, hosts })
    }

    /// Where requests come from.
    #[must_use]
    pub fn client(&self) -> &Host {
        &self.hosts[0]
    }

    /// Where the appliance runs.
    #[must_use]
    pub fn gateway(&self) -> &Host {
        &self.hosts[3]
    }

    /// Where requests go to.
    #[must_use]
    pub fn server(&self) -> &Host {
        &self.hosts[6]
    }
}
