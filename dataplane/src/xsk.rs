//! AF_XDP. A `Frame` is a linear token: it is made by a pool, filled by a socket, consumed by a
//! socket or the pool, and never copied. Together with the `Umem` that it belongs to it gives
//! access to the bytes of one packet.

/// One packet as a token: a chunk of the UMEM, or a chain of them.
pub mod frame;
/// Free chunks.
pub mod pool;
/// Packets from one worker to another.
pub mod handover;
/// What the worker asks of a (port, queue), whoever stands behind it.
pub mod socket;
/// The memory that all frames lie in.
pub mod umem;
/// Access to the bytes of one packet.
pub mod view;
/// Memory that the kernel knows of, through xsk-rs.
pub mod registered;
/// The kernel behind the rings, through xsk-rs.
pub mod kernel;
/// Rings without a kernel, for tests and benchmarks.
pub mod sim;

/// Bytes put into a packet.
mod insert;
mod options;

pub use frame::Frame;
pub use pool::Pool;
pub use socket::Socket;
pub use umem::Umem;
pub use view::View;
