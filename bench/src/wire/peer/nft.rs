use anyhow::Result;

use super::Peer;
use crate::wire::rig::{BACKEND, BACKENDS, BULK, DISCARD, FAR, PROBE, Rig, TCP, VIP, after, nft};

/// Rules in the kernel.
struct Nft;

impl Peer for Nft {}

/// Connection tracking forgets closed connections as soon as Portreeve does. It holds 262 144 by
/// default; with its own 120 s they would be full after half a minute of new connections.
const TIMEOUTS: [&str; 3] = ["time_wait", "close_wait", "last_ack"];
const TIMEOUT_S: &str = "10";

/// Load balancing as an administrator would write it: the servers by a hash of the client's
/// address and port, the source address of the port that packets leave through.
///
/// # Errors
/// When the kernel lacks a part of it.
pub fn start(rig: &Rig) -> Result<Box<dyn Peer>> {
    let servers: Vec<_> = (0..BACKENDS).map(|n| format!("{n} : {}", after(BACKEND, n))).collect();
    let servers = servers.join(", ");
    let to_server = |protocol: &str, ports: &str| {
        format!(
            " ip daddr {VIP} {protocol} dport {ports} \
             dnat to jhash ip saddr . {protocol} sport mod {BACKENDS} map {{ {servers} }}\n"
        )
    };
    let rules = format!(
        "table ip balance {{\n\
         chain to_servers {{\n type nat hook prerouting priority dstnat;\n{}{} }}\n\
         chain from_us {{\n type nat hook postrouting priority srcnat;\n \
         oifname \"{FAR}\" masquerade\n }}\n}}\n",
        to_server("udp", &format!("{{ {DISCARD}, {PROBE} }}")),
        to_server("tcp", &format!("{{ {TCP}, {BULK} }}")),
    );
    nft(&rig.gateway, &rules)?;
    for what in TIMEOUTS {
        rig.gateway.sysctl(&format!("net.netfilter.nf_conntrack_tcp_timeout_{what}"), TIMEOUT_S)?;
    }
    Ok(Box::new(Nft))
}
