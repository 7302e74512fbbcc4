use portreeve_dataplane::pipeline::packet::Body;
use portreeve_dataplane::pipeline::parse::parse;
use portreeve_dataplane::tables::frontend::Mode;

use crate::checksum;
use crate::world::*;

/// Our addresses: in mode `snat` nothing leaves from any other, the clients' own least of all.
const OURS: [&str; 8] = [VIP, VIP6, SNAT, SNAT6, PORT_ADDRESS, "10.1.0.254", "fd00::1", "fd01::fe"];

/// What leaves can be read again, comes from us, and has right checksums. Those of TCP and UDP
/// are updated, so they are only as right as `checksums_came_right` says.
pub fn check(port: usize, frame: &[u8], checksums_came_right: bool, mode: Mode) {
    assert_eq!(frame[6..12], PORT_MACS[port], "from the port's own MAC");
    let ip = match parse(frame, frame.len()).body {
        Body::Ip(ip) => ip,
        Body::Solicitation(..) => panic!("we ask for nobody ourselves"),
        Body::Advertisement(target) => {
            assert_eq!(frame[22..38], *target.octets(), "from the address that it is about");
            assert!(OURS.iter().any(|ours| addr(ours) == target), "{target} is not ours");
            return;
        }
        Body::Arp(_) => return,
        Body::Broken(reason) => panic!("what leaves can be read again: {}", reason.name()),
    };
    let ours = OURS.iter().any(|ours| addr(ours) == ip.src);
    assert!(ours || mode != Mode::Snat, "{} is not ours", ip.src);
    assert_eq!(frame.len(), ip.l3() + usize::from(ip.len), "no padding is left");
    assert!(!checksums_came_right || checksum::is_right(frame), "transport checksum");
}
