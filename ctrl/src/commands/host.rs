//! Ports that the host itself uses, as `/proc` of the current network namespace says. What cannot
//! be read is left out: `check` then knows less, but says nothing wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{fs, iter};

use dataplane::addr::Proto;
use dataplane::worker::last_cores;

use crate::compile::{HostFacts, Listener};
use crate::desired::{Desired, PortSpan};

/// `TCP_LISTEN` of `include/net/tcp_states.h`.
const LISTEN: &str = "0A";
/// `TCP_CLOSE`: a UDP socket that is not connected, so anyone may send to it.
const UNCONNECTED: &str = "07";

/// Everything that can be read.
#[must_use]
pub fn facts(desired: &Desired) -> HostFacts {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    let tables = [
        ("tcp", Proto::Tcp, LISTEN),
        ("tcp6", Proto::Tcp, LISTEN),
        ("udp", Proto::Udp, UNCONNECTED),
        ("udp6", Proto::Udp, UNCONNECTED),
    ];
    let mut listening: Vec<Listener> = tables
        .into_iter()
        .flat_map(|(file, proto, state)| {
            let text = fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
            sockets(&text, proto, state)
        })
        .collect();
    listening.sort_unstable();
    listening.dedup();
    let local_ports = range.and_then(|text| local_ports(&text));
    // As many as there are.
    let cores = last_cores(usize::MAX);
    let api_is_directory = desired.gateway.api.is_dir();
    HostFacts { local_ports, listening, cores, api_is_directory }
}

fn local_ports(text: &str) -> Option<PortSpan> {
    let mut numbers = text.split_whitespace().map_while(|word| word.parse().ok());
    Some(numbers.next()?..=numbers.next()?)
}

fn sockets(text: &str, proto: Proto, state: &str) -> Vec<Listener> {
    let lines = text.lines().skip(1);
    let parsed = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let local = words.nth(1)?;
        (words.nth(1)? == state).then(|| socket(local, proto))?
    });
    parsed.collect()
}

/// `0100007F:1F90`: each word of the address in the host's byte order, the port as a number.
fn socket(text: &str, proto: Proto) -> Option<Listener> {
    let (addr, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut rest = addr;
    let words = iter::from_fn(|| {
        let (word, tail) = rest.split_at_checked(8)?;
        rest = tail;
        u32::from_str_radix(word, 16).ok()
    });
    let octets: Vec<u8> = words.flat_map(u32::to_ne_bytes).collect();
    let addr = match octets.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)),
        _ => return None,
    };
    Some(Listener { proto, addr: addr.to_canonical(), port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Compiled, host_conflicts};

    #[test]
    fn reads_listening_sockets_and_no_others() {
        let text = "  sl  local_address rem_address   st\n\
                    0: 0100007F:1F90 00000000:0000 0A 0\n\
                    1: 0100007F:1F91 0100007F:0001 01 0\n";
        let found = sockets(text, Proto::Tcp, LISTEN);
        let want = Listener { proto: Proto::Tcp, addr: [127, 0, 0, 1].into(), port: 8_080 };
        assert_eq!(found, [want]);
    }

    #[test]
    fn the_cores_of_this_process_are_known() {
        assert!(!facts(&Desired::default()).cores.is_empty());
    }

    #[test]
    fn an_admin_socket_that_is_a_directory_is_found() {
        let mut desired = Desired::default();
        desired.gateway.api = "/tmp".into();
        let facts = facts(&desired);
        let problems = host_conflicts(&desired, &Compiled::default(), &facts);
        let said: Vec<_> = problems.iter().map(|problem| problem.what.as_str()).collect();
        assert_eq!(said, ["gateway.api is /tmp, a directory"]);
    }

    #[test]
    fn reads_the_ephemeral_range() {
        assert_eq!(local_ports("32768\t60999\n"), Some(32_768..=60_999));
    }

    #[test]
    fn a_listening_socket_of_this_process_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(facts(&Desired::default()).listening.iter().any(|found| found.port == port));
    }
}
