use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use dataplane::addr::{L4Port, Proto};
use serde::Deserialize;

/// One end of a packet: an address, perhaps with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The address.
    pub addr: IpAddr,
    /// The transport port.
    pub port: Option<L4Port>,
}

/// What the packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A TCP segment or UDP datagram to this port.
    Transport(Proto, L4Port),
    /// A ping, and before it the question for the address' MAC.
    Ping,
}

/// Where a packet goes: `ADDR:PORT[/tcp|/udp]`, or `ADDR[/icmp]` for a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The address.
    pub addr: IpAddr,
    /// What it carries.
    pub protocol: Protocol,
}

/// What the operator asks. As text it comes through the API; so it is checked twice, by the same
/// words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Question {
    /// `ADDR[:PORT]`
    pub from: String,
    /// `ADDR[:PORT][/PROTOCOL]`
    pub to: String,
    /// The port (interface) that it comes in through; else by the route back.
    #[serde(rename = "in")]
    pub in_port: Option<String>,
    /// Length of the IP packet in bytes.
    #[serde(default)]
    pub size: u16,
    /// TTL or hop limit.
    #[serde(default = "default_ttl")]
    pub ttl: u8,
}

fn default_ttl() -> u8 {
    64
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(end) = text.parse::<SocketAddr>() {
            return Ok(Self { addr: end.ip().to_canonical(), port: Some(end.port()) });
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let addr = match bare {
            Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
            None => text.parse::<IpAddr>().ok(),
        };
        let addr = addr.ok_or_else(|| {
            format!("{text:?} is no address with or without a port (IPv6 with a port: [addr]:port)")
        })?;
        Ok(Self { addr: addr.to_canonical(), port: None })
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (end, protocol) = text.rsplit_once('/').map_or((text, None), |(e, p)| (e, Some(p)));
        let End { addr, port } = end.parse()?;
        let protocol = match (port, protocol) {
            (Some(port), None | Some("tcp")) => Protocol::Transport(Proto::Tcp, port),
            (Some(port), Some("udp")) => Protocol::Transport(Proto::Udp, port),
            (None, None | Some("icmp" | "ping")) => Protocol::Ping,
            (None, Some(proto @ ("tcp" | "udp"))) => {
                return Err(format!("{proto} needs a port: {end}:PORT/{proto}"));
            }
            (Some(_), Some("icmp" | "ping")) => return Err("a ping has no port".into()),
            (_, Some(other)) => {
                return Err(format!("protocol {other:?}: tcp and udp are known, and icmp"));
            }
        };
        Ok(Self { addr, protocol })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.addr, port).fmt(f),
            None => self.addr.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Transport(proto, port) => {
                write!(f, "{}/{proto}", SocketAddr::new(self.addr, port))
            }
            Protocol::Ping => write!(f, "{} (ping)", self.addr),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_targets_are_read_as_people_write_them() {
        for (text, want) in [
            ("10.0.0.1:80", "10.0.0.1:80/tcp"),
            ("10.0.0.1:53/udp", "10.0.0.1:53/udp"),
            ("[fd00::1]:80/tcp", "[fd00::1]:80/tcp"),
            ("10.0.0.1", "10.0.0.1 (ping)"),
            ("[fd00::1]", "fd00::1 (ping)"),
            ("fd00::1/icmp", "fd00::1 (ping)"),
            ("::ffff:10.0.0.1", "10.0.0.1 (ping)"),
        ] {
            assert_eq!(text.parse::<Target>().map(|to| to.to_string()), Ok(want.into()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_reason() {
        for (text, why) in [
            ("10.0.0.1/tcp", "needs a port"),
            ("10.0.0.1:80/sctp", "tcp and udp"),
            ("10.0.0.1:80/icmp", "no port"),
            ("web:80", "no address"),
            ("10.0.0.1:70000", "no address"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
