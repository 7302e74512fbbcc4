use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::QUEUES_MAX;

/// How the program is attached to an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By the driver, before the kernel allocates a socket buffer.
    Native,
    /// By the kernel's generic hook, on socket buffers.
    Skb,
}

impl Mode {
    /// The word for logs, metrics, configuration and pins.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Skb => "skb",
        }
    }
}

/// Value of `ports`: where the sockets of an interface begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Port {
    /// Index of the socket of receive queue 0.
    pub base: u32,
    /// Receive queues; frames of further queues find no socket.
    pub queues: u32,
}

const _: () = assert!(size_of::<Port>() == 8);

impl Port {
    /// The entry of port number `id`; its sockets begin at `id` * [`QUEUES_MAX`].
    #[must_use]
    pub const fn new(id: u8, queues: u32) -> Self {
        Self { base: id as u32 * QUEUES_MAX, queues }
    }
}
