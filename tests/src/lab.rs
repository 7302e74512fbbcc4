use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context as _, Result, ensure};

use crate::host::Host;
use crate::iproute::ip;
use crate::run_dir::unique_name;

/// Kernel names of interfaces are shorter than this.
const NAME_MAX: usize = 16;

/// Hosts that belong together. Names in the system begin with a prefix of the lab's own, so that
/// labs stand side by side.
#[derive(Debug)]
pub struct Lab {
    name: String,
    prefix: String,
    hosts: AtomicU8,
}

/// How two hosts are joined. Offloads stay as the kernel sets them: nothing is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkOptions {
    /// MTU of both ends, in bytes.
    pub mtu: u32,
    /// Receive and transmit queues of both ends.
    pub queues: u32,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self { mtu: 1500, queues: 1 }
    }
}

impl Lab {
    /// A lab that is gone when the test ends; `name` stands in its messages only.
    ///
    /// # Errors
    /// Without root.
    pub fn new(name: &str) -> Result<Self> {
        Self::with_prefix(name, &unique_name())
    }

    /// A lab whose namespaces are named `<prefix>-<host>`.
    ///
    /// # Errors
    /// Without root.
    pub fn with_prefix(name: &str, prefix: &str) -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "the lab {name} needs root: it makes network namespaces"
        );
        Ok(Self { name: name.to_owned(), prefix: prefix.to_owned(), hosts: AtomicU8::new(0) })
    }

    /// Adds a host without any link.
    ///
    /// # Errors
    /// When the namespace cannot be made.
    pub fn host(&self, name: &str) -> Result<Host> {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed);
        Host::create(&format!("{}-{name}", self.prefix), name, number)
            .with_context(|| format!("make the host {name} of the lab {}", self.name))
    }

    /// Joins two hosts by a veth pair and takes both ends up. MACs follow from host and port, so
    /// that a capture reads the same every time.
    ///
    /// # Errors
    /// When a name is taken or too long, or the kernel refuses the options.
    pub fn link(
        &self,
        left: &Host,
        left_port: &str,
        right: &Host,
        right_port: &str,
        options: LinkOptions,
    ) -> Result<()> {
        for port in [left_port, right_port] {
            ensure!(port.len() < NAME_MAX, "interface name {port}: the kernel takes 15 bytes");
        }
        let (near, far) = (mac(left.number, left_port), mac(right.number, right_port));
        let (near_ns, far_ns) = (left.netns().name(), right.netns().name());
        let LinkOptions { mtu, queues } = options;
        let shape = format!("mtu {mtu} numrxqueues {queues} numtxqueues {queues}");
        let line = format!(
            "-n {near_ns} link add {left_port} address {near} {shape} type veth \
             peer name {right_port} address {far} {shape} netns {far_ns}"
        );
        ip(&line.split_whitespace().collect::<Vec<_>>())
            .with_context(|| format!("link {} to {}", left.name(), right.name()))?;
        left.ip_batch(&format!("link set {left_port} up"))?;
        right.ip_batch(&format!("link set {right_port} up"))
    }
}

/// Locally administered: `02:70:72` ("pr"), the host, two bytes of the port's name.
fn mac(host: u8, port: &str) -> String {
    let sum = port.bytes().fold(0_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let [high, low] = sum.to_be_bytes();
    format!("02:70:72:{host:02x}:{high:02x}:{low:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_one_host_have_different_macs() {
        let macs: std::collections::BTreeSet<_> =
            (0..64).map(|n| mac(1, &format!("ens{n}"))).collect();
        assert_eq!(macs.len(), 64);
        assert!(macs.iter().all(|mac| mac.starts_with("02:70:72:01:")));
    }
}
