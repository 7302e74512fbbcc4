//! The memory that a configuration takes, before it is taken.

use std::collections::HashMap;
use std::fmt;

use dataplane::flow::{Flow, FlowTableConfig};
use dataplane::mem::HUGE_PAGE;
use dataplane::xsk::umem::{Layout, XDP_HEADROOM};

use crate::compile::members;
use crate::desired::{Desired, WorkerSettings};

/// Largest MTU whose frames fit into chunks of 2 KiB, Ethernet header and a VLAN tag included.
const SMALL_CHUNK_MTU: u32 = 2_048 - XDP_HEADROOM as u32 - 18;
/// Frames for what is in neither ring: bursts, frames that wait, packets of our own making.
const FRAMES_BESIDE_RINGS: u32 = 1_024;
/// Bytes of the four rings of one queue for each of their slots: rx and tx descriptors are 16
/// bytes, fill and completion ones 8.
const RING_SLOT: usize = 2 * 16 + 2 * 8;

/// Bytes by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Flow entries.
    pub flow_entries: usize,
    /// Both indexes of the flow table, port blocks, quotas.
    pub flow_indexes: usize,
    /// Frames.
    pub frames: usize,
    /// Rings of all queues.
    pub rings: usize,
    /// Maglev tables; twice that for a moment when all of them change.
    pub maglev: usize,
}

/// What the host adds to the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortFacts {
    /// Receive queues of all ports together.
    pub queues: usize,
    /// Receive queues that the busiest worker serves.
    pub busiest: usize,
    /// Largest MTU of the ports, in bytes.
    pub mtu: u32,
}

impl Memory {
    /// Adds everything up.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.flow_entries + self.flow_indexes + self.frames + self.rings + self.maglev
    }
}

/// The size of each worker's flow table: client ports spread evenly over workers. Pairs of (SNAT
/// address, backend) grow slower than flows, and services can be added while we run: one for 16
/// flows, within bounds.
#[must_use]
pub fn flow_table(worker: &WorkerSettings) -> FlowTableConfig {
    let flows = (worker.flows as usize).div_ceil(worker.count);
    FlowTableConfig { flows, pairs: (flows / 16).clamp(1_024, 65_536) }
}

/// Frontends whose traffic is counted one by one, with room for those that come while we run.
pub const FRONTEND_COUNTERS: usize = 16_384;

/// How the packet memory is cut up: frames enough that every ring of every worker can be full, and as
/// many as the configuration asks for.
#[must_use]
pub fn layout(worker: &WorkerSettings, ports: PortFacts) -> Layout {
    let workers = worker.count as u32;
    let rings = 2 * ports.busiest as u32 * worker.ring;
    let stride = chunk_size(ports.mtu);
    let each = worker.frames.div_ceil(workers).max(rings + FRAMES_BESIDE_RINGS);
    // Whole huge pages, so that it can lie in them, and as many for each worker.
    Layout { stride, count: workers * each.next_multiple_of((HUGE_PAGE / stride) as u32) }
}

/// Chunks that may be on the way from one worker to another at once: a quarter of its frames, so that
/// one which does not keep up cannot take all frames of the others.
#[must_use]
pub const fn handover(layout: Layout, workers: usize) -> usize {
    layout.count as usize / workers / 4
}

/// Bytes of a chunk of packet memory.
#[must_use]
pub const fn chunk_size(mtu: u32) -> usize {
    if mtu > SMALL_CHUNK_MTU { 4_096 } else { 2_048 }
}

/// The memory that `desired` takes on a host with these ports.
#[must_use]
pub fn memory(desired: &Desired, ports: PortFacts) -> Memory {
    let worker = &desired.worker;
    let table = flow_table(worker);
    let flow_entries = worker.count * table.flows * size_of::<Flow>();
    let frames = layout(worker, ports);
    Memory {
        flow_entries,
        flow_indexes: worker.count * table.bytes() - flow_entries,
        frames: frames.count as usize * frames.stride,
        rings: ports.queues * worker.ring as usize * RING_SLOT,
        maglev: maglev(desired),
    }
}

/// Services with the same backends share a table, so each table counts once.
fn maglev(desired: &Desired) -> usize {
    let mut tables = HashMap::new();
    for service in &desired.services {
        for members in members::of_service(service) {
            let size = members::table_size(desired, service, members.len());
            let active: Vec<_> = members.into_iter().filter(|(_, weight)| *weight > 0).collect();
            if !active.is_empty() {
                let bytes = size as usize * size_of::<u16>() + active.len() * size_of::<u32>();
                tables.insert((size, active), bytes);
            }
        }
    }
    tables.into_values().sum()
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("flow entries", self.flow_entries),
            ("flow indexes, ports and quotas", self.flow_indexes),
            ("packet frames", self.frames),
            ("rings", self.rings),
            ("maglev tables", self.maglev),
            ("together", self.total()),
        ];
        for (name, bytes) in parts {
            writeln!(f, "  {name:<32}{:>12}", mib(bytes))?;
        }
        Ok(())
    }
}

fn mib(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_flow_table_keeps_to_the_bar_of_75_bytes_a_flow() {
        // Design section 11: 16 Mi IPv4 flows in at most 1.2 GB, entries and both indexes.
        let flows = 1 << 24;
        let bytes = flow_table(&WorkerSettings { flows, ..WorkerSettings::default() }).bytes();
        let entries_and_indexes = flows as usize * 48 + 2 * flows as usize * 10;
        assert!(bytes >= entries_and_indexes && entries_and_indexes <= 1_200_000_000);
    }

    #[test]
    fn jumbo_ports_need_larger_chunks() {
        assert_eq!([chunk_size(1_500), chunk_size(9_001)], [2_048, 4_096]);
    }
}
