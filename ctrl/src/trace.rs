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

use dataplane::addr::Family;
use dataplane::drop_reason::DropReason;
use serde::{Deserialize, Serialize};

use crate::overlay::Whole;

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

impl Trace {
    /// When there is no backend because all have failed, that is what there is to look at.
    /// `refusing`: the services, with the family, of which this is so; `asked`: the packet's family.
    pub fn blame_checks(&mut self, refusing: &Whole, asked: Family) {
        let is_so = |service: &str| {
            let mut all = refusing.iter();
            all.any(|(name, family)| **name == *service && *family == asked)
        };
        let no_backend = self.reason.as_deref() == Some(DropReason::NoBackend.name());
        if no_backend && self.service.as_deref().is_some_and(is_so) {
            self.advice = Some(advice::CHECKS_FAILED.to_owned());
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_checks_are_named_where_they_are_why_there_is_no_backend() {
        let trace = || Trace {
            question: String::new(),
            steps: vec![],
            verdict: Verdict::Refused,
            reason: Some("no_backend".into()),
            meaning: None,
            advice: Some("add a backend".into()),
            service: Some("web".into()),
            backend: None,
            source: None,
            next_hop: None,
            out_port: None,
            mtu: None,
        };
        let refusing = Whole::from([("web".into(), Family::V4)]);
        let advised = |family| {
            let mut trace = trace();
            trace.blame_checks(&refusing, family);
            trace.advice.unwrap_or_default()
        };
        assert!(advised(Family::V4).contains("health checks"), "{}", advised(Family::V4));
        assert_eq!(advised(Family::V6), "add a backend");
    }
}
