use portreeve_bpf_abi::{Mode, PORTS_MAX, QUEUES_MAX};

use super::error::SteerError;

/// A port that the steering program shall serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortAttach {
    /// The kernel's index of the interface.
    pub ifindex: u32,
    /// The kernel's name of it, for messages.
    pub name: String,
    /// Our number of the port, below [`PORTS_MAX`].
    pub port_id: u8,
    /// Receive queues that have a socket, [`QUEUES_MAX`] at most.
    pub queues: u32,
    /// Where the program is to run.
    pub mode: ModeChoice,
}

/// Which attach mode is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ModeChoice {
    /// Native where the driver can, else skb.
    #[default]
    Auto,
    /// Native, or an error.
    Native,
    /// Skb, also where the driver could do better.
    Skb,
}

/// A port that the steering program serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortAttached {
    /// Our number of the port.
    pub port_id: u8,
    /// The kernel's name of the interface.
    pub name: String,
    /// The mode in force.
    pub mode: Mode,
    /// The link was there already; traffic was steered all along.
    pub adopted: bool,
}

impl ModeChoice {
    /// The modes to try, best first.
    pub(super) const fn candidates(self) -> &'static [Mode] {
        match self {
            Self::Auto => &[Mode::Native, Mode::Skb],
            Self::Native => &[Mode::Native],
            Self::Skb => &[Mode::Skb],
        }
    }

    /// Whether a link in this mode will do.
    pub(super) fn allows(self, mode: Mode) -> bool {
        self.candidates().contains(&mode)
    }
}

impl PortAttach {
    /// Checks the numbers against the room in the maps.
    pub(super) fn check(&self) -> Result<(), SteerError> {
        slot(self.port_id, self.queues.saturating_sub(1)).map(drop)
    }

    /// What this port has become.
    pub(super) fn attached(&self, mode: Mode, adopted: bool) -> PortAttached {
        PortAttached { port_id: self.port_id, name: self.name.clone(), mode, adopted }
    }
}

/// Index of the socket of a port's receive queue.
pub(super) fn slot(port_id: u8, queue: u32) -> Result<u32, SteerError> {
    let beyond = |what, count, max| SteerError::NoSlot { port_id, what, count, max };
    if u32::from(port_id) >= PORTS_MAX {
        return Err(beyond("ports", u32::from(port_id) + 1, PORTS_MAX));
    }
    if queue >= QUEUES_MAX {
        return Err(beyond("receive queues", queue.saturating_add(1), QUEUES_MAX));
    }
    Ok(u32::from(port_id) * QUEUES_MAX + queue)
}
