use super::Worker;
use crate::pipeline::tx::Ways;
use crate::xsk::Socket;

impl<S: Socket> Worker<S> {
    /// Serves the sockets that wait for it from now on.
    pub(super) fn take_lanes(&mut self) {
        while let Ok(mut lane) = self.more_lanes.try_recv() {
            lane.socket.refill(&mut self.pool);
            self.lanes.push(lane);
        }
        self.ways = Ways::new(&self.lanes);
    }
}
