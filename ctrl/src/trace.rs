//! What would become of a packet, decision by decision, in words. The decisions are the data path's
//! own (`dataplane::pipeline::rehearse`) on the tables in force; nothing is sent. Two halves, because
//! only the worker knows whether there is a connection: `prepare` says which one to ask it for.

/// What to do about a packet that ends.
mod advice;
/// What the operator asks.
mod question;
/// The questions that stand behind it, as packets.
mod prepare;
/// Words for one packet.
mod words;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

pub use advice::advice;
pub use prepare::{Prepared, prepare};
pub use question::{End, Protocol, Question, Target};

/// `GET /v1/trace`: everything that was decided, in order, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What was asked.
    pub question: String,
    /// The decisions, in order.
    pub steps: Vec<Step>,
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The drop reason, when it ends here.
    pub reason: Option<String>,
    /// What that means.
    pub meaning: Option<String>,
    /// What to do, when something is wrong.
    pub advice: Option<String>,
    /// The service.
    pub service: Option<String>,
    /// Where it is sent.
    pub backend: Option<SocketAddr>,
    /// Our address towards that; port 0 when a port would be taken only then.
    pub source: Option<SocketAddr>,
    /// The neighbour that it is handed to.
    pub next_hop: Option<IpAddr>,
    /// The port that it leaves through.
    pub out_port: Option<String>,
    /// Largest IP packet on that way, in bytes.
    pub mtu: Option<u16>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What was decided: `in`, `steering`, `service`, `flow`, ...
    pub at: String,
    /// How, and why.
    pub says: String,
}

/// What becomes of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is sent on.
    Forwarded,
    /// It gets the answer that it asks for.
    Answered,
    /// It waits for a next hop that has not answered yet.
    Waits,
    /// It ends here, and its sender is told.
    Refused,
    /// It ends here in silence.
    Dropped,
    /// It is left to the kernel.
    LeftToKernel,
}

impl Verdict {
    /// Whether all is well.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Forwarded | Self::Answered)
    }
}
