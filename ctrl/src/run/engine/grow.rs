use anyhow::{Result, bail};
use dataplane::pipeline::tx::Lane;
use dataplane::tables::PortId;
use dataplane::xsk::kernel::KernelSocket;

use super::{COPY, Engine, LaneInfo, attachments, facts};
use crate::desired::Desired;
use crate::memory;
use crate::netlink::Netlink;
use crate::steer::{PortAttach, Steer};

impl Engine {
    /// Serves receive queues that ports have got since the start. Fewer cannot become of them: the
    /// kernel keeps a queue that has a socket.
    ///
    /// # Errors
    /// Why what arrives in some queue is lost: there are too few frames to fill the rings of one more,
    /// or the kernel refuses a socket.
    pub(in crate::run) fn grow(
        &mut self,
        desired: &Desired,
        netlink: &Netlink,
        steer: &mut Steer,
    ) -> Result<()> {
        for port in attachments(desired, netlink)? {
            let served = self.queues(port.port_id);
            if port.queues > served {
                self.has_room(desired, &port)?;
                for queue in served..port.queues {
                    self.serve(desired.worker.count, &port, queue, steer)?;
                }
                steer.serve_queues(&port)?;
                tracing::info!(port = port.name, queues = port.queues, "more receive queues");
                if netlink.kind(port.ifindex) == Some("veth") {
                    // Seen in Linux 6.18: veth_set_channels gives them NAPI, but not the program.
                    tracing::warn!(
                        port = port.name,
                        "a veth runs no XDP program in queues that it gets later: take it down and up"
                    );
                }
            }
        }
        Ok(())
    }

    fn queues(&self, port: u8) -> u32 {
        self.lanes.iter().filter(|lane| lane.port.0 == port).count() as u32
    }

    /// Whether every ring of every worker could still be full.
    fn has_room(&self, desired: &Desired, grown: &PortAttach) -> Result<()> {
        let queues = (0..)
            .zip(&desired.ports)
            .map(|(id, _)| if id == grown.port_id { grown.queues } else { self.queues(id) });
        let facts = facts(queues, desired.worker.count, self.mtu);
        let needed = memory::layout(&desired.worker, facts).count;
        if needed > self.layout.count {
            bail!(
                "port {} has {} receive queues now, and only {} have a socket: what arrives in the others is \
                 lost. {needed} frames would be needed, there are {}: restart portreeve, or go back to {} queues",
                grown.name,
                grown.queues,
                self.queues(grown.port_id),
                self.layout.count,
                self.queues(grown.port_id),
            );
        }
        Ok(())
    }

    fn serve(
        &mut self,
        workers: usize,
        port: &PortAttach,
        queue: u32,
        steer: &mut Steer,
    ) -> Result<()> {
        let worker = queue as usize % workers;
        let socket = KernelSocket::bind(&self.umem, &port.name, queue, COPY)?;
        steer.set_socket(port.port_id, queue, socket.as_fd())?;
        let lane = Lane { port: PortId(port.port_id), queue, socket, dirty: false };
        let info = LaneInfo::of(worker, &lane);
        self.workers[worker].add_lane(lane)?;
        self.lanes.push(info);
        Ok(())
    }
}
