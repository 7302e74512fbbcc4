//! What workers receive, send and drop, copied for people to look at. While nobody does, a worker asks
//! once per burst whether somebody does, and that is all (docs/decisions/0016).

/// Which packets are copied.
pub mod filter;
/// What is copied, on its way to control.
pub mod record;
/// The worker's side.
pub mod recorder;

pub use filter::Filter;
pub use record::{Direction, Note, Reader, Record};
pub use recorder::{Recorder, Seen, Watched};
