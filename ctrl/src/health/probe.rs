use std::io;
use std::net::SocketAddr;

use super::icmp::Pinger;
use super::{Target, http, tcp};
use crate::desired::health::ProbeKind;

/// Why a probe did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The backend did not answer as it should; in words.
    Backend(String),
    /// We could not even ask: says nothing about the backend. In words.
    Ourselves(String),
}

/// Asks `target` once. Takes as long as it takes: the caller sets the limit.
pub async fn once(target: &Target, pinger: &Pinger) -> Result<(), Failure> {
    let at = SocketAddr::new(target.address, target.port.unwrap_or(0));
    match &target.probe.kind {
        ProbeKind::Tcp => tcp::connect(at).await.map(drop),
        ProbeKind::Http(probe) => http::get(at, probe).await,
        ProbeKind::Icmp => pinger.ping(target.address).await,
    }
}

impl Failure {
    /// An error of the kernel. Running out of something here is no fault of the backend.
    pub fn from_io(doing: &str, error: &io::Error) -> Self {
        use rustix::io::Errno;
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        let words = match errno {
            Some(Errno::CONNREFUSED) => "connection refused".to_owned(),
            Some(Errno::CONNRESET) => format!("connection reset ({doing})"),
            Some(Errno::HOSTUNREACH) => {
                "host unreachable: nobody answers ARP or NDP for it, or a router says so".to_owned()
            }
            Some(Errno::NETUNREACH) => {
                "network unreachable: the host has no route to it".to_owned()
            }
            _ => format!("{doing}: {error}"),
        };
        match errno {
            Some(
                Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::ADDRNOTAVAIL,
            ) => Self::Ourselves(words),
            _ => Self::Backend(words),
        }
    }
}
