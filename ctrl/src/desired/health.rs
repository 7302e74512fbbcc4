use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use dataplane::addr::{L4Port, Proto};

use super::{BackendSettings, Located, Service};

/// How the backends of a service are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked, and how often.
    pub probe: Probe,
    /// Port that is asked, host order; `None` for the backend's own.
    pub port: Option<Located<L4Port>>,
    /// Flows of a backend that fails are ended; else they stay and only new ones avoid it.
    pub reset_on_fail: bool,
    /// When all backends have failed, all are used: a check that is wrong must not end a service.
    pub panic: bool,
}

/// What is asked, and how often. The same probe of the same backend is made once, whichever
/// services want it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Probe {
    /// What is asked.
    pub kind: ProbeKind,
    /// From the begin of one probe to the begin of the next.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// Successes in a row after which a failed backend is used again.
    pub rise: u32,
    /// Failures in a row after which a backend is used no more.
    pub fall: u32,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// A connection that is opened and ended at once.
    Tcp,
    /// A request, by the status of its answer.
    Http(HttpProbe),
    /// An echo request.
    Icmp,
}

/// An HTTP/1.1 GET.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpProbe {
    /// The path with its query.
    pub path: String,
    /// The `Host` header; `None` for the backend's address and port.
    pub host: Option<String>,
    /// Status codes that are good.
    pub status: RangeInclusive<u16>,
}

impl ProbeKind {
    /// Whether it asks a port.
    #[must_use]
    pub const fn needs_port(&self) -> bool {
        !matches!(self, Self::Icmp)
    }
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Http(http) => write!(f, "http {}", http.path),
            Self::Icmp => f.write_str("icmp"),
        }
    }
}

impl HealthCheck {
    /// The port that is asked for `backend` of `service`: that of the check, the backend's own, or
    /// the target of the service's first TCP port. One answer speaks for the backend in all ports
    /// of the service. `None` when there is no such port, and for checks that need none.
    #[must_use]
    pub fn port_of(&self, service: &Service, backend: &BackendSettings) -> Option<L4Port> {
        if !self.probe.kind.needs_port() {
            return None;
        }
        let own = self.port.as_ref().map(|port| port.value);
        let tcp = service.ports.iter().find(|port| port.proto == Proto::Tcp);
        own.or_else(|| tcp.map(|tcp| backend.port.unwrap_or(tcp.target)))
    }
}
