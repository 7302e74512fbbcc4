//! What the steering program says of a packet, worked out from what its maps hold. The program
//! itself is `bpf/steer.bpf.c`; `ctrl/tests/steering/judged.rs` holds the two against each other in
//! the kernel.

use dataplane::addr::{Addr, Family, L4Port, Proto};
use dataplane::pipeline::rehearse::{Probe, What};
use dataplane::tables::NatEnd;
use portreeve_bpf_abi::Verdict;

use super::{Share, Steering};

/// The cause that the program counts for `probe`; [`takes`] says what that means.
#[must_use]
pub fn judge(steering: &Steering, probe: &Probe) -> Verdict {
    let whole = |addr: &Addr| matches!(steering.addresses.get(addr), Some(Share::Whole));
    let transport = match probe.what {
        What::WhoHas if !whole(&probe.dst) => return Verdict::Other,
        What::WhoHas if probe.dst.family() == Family::V4 => return Verdict::Arp,
        What::WhoHas => return Verdict::Ndp,
        What::Tcp(_, port, _) => Some((Proto::Tcp, port)),
        What::Udp(_, port) => Some((Proto::Udp, port)),
        What::Echo => None,
    };
    match steering.addresses.get(&probe.dst) {
        Some(Share::Whole) => Verdict::Owned,
        Some(Share::Ranges(_)) if transport.is_some_and(|at| is_ours(steering, probe.dst, at)) => {
            Verdict::PortRange
        }
        Some(Share::Ranges(_)) => Verdict::Host,
        None if steering.host.contains(&probe.dst) => Verdict::Host,
        None if is_nat_reply(steering, probe) => Verdict::NatReply,
        None => Verdict::Other,
    }
}

fn is_nat_reply(steering: &Steering, probe: &Probe) -> bool {
    let (proto, port) = match probe.what {
        What::Tcp(port, ..) => (Proto::Tcp, port),
        What::Udp(port, _) => (Proto::Udp, port),
        What::Echo | What::WhoHas => return false,
    };
    steering.nat_backends.contains(&NatEnd { addr: probe.src, port, proto })
}

fn is_ours(steering: &Steering, addr: Addr, (proto, port): (Proto, L4Port)) -> bool {
    let Some(Share::Ranges(ranges)) = steering.addresses.get(&addr) else { return false };
    ranges.iter().any(|range| range.proto == proto && (range.first..=range.last).contains(&port))
}

/// Whether a frame with this cause is given to our sockets.
#[must_use]
pub fn takes(cause: Verdict) -> bool {
    (Verdict::Arp..=Verdict::Egress).contains(&cause)
}
