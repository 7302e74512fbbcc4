//! What an event does to the picture.

use nix::libc;

use super::dump::Stale;
use super::neighbour::Neighbours;
use super::route;

/// What was among the events.
#[derive(Default)]
pub(super) struct Seen {
    /// Some are missing.
    pub(super) lost: bool,
    /// There was word of neighbours.
    pub(super) neighbours: bool,
    /// A managed one went, that has to be installed again, perhaps before the picture ever showed it.
    pub(super) managed_went: bool,
}

/// Applies an event: to the neighbours at once, to the rest by marking it stale.
pub(super) fn apply(
    kind: u16,
    payload: &[u8],
    stale: &mut Stale,
    neighbours: &mut Neighbours,
    seen: &mut Seen,
) {
    match kind {
        libc::RTM_NEWNEIGH | libc::RTM_DELNEIGH => {
            seen.neighbours = true;
            match neighbours.apply(kind == libc::RTM_DELNEIGH, payload) {
                Ok(lost_managed) => seen.managed_went |= lost_managed,
                Err(_) => stale.neighbours = true,
            }
        }
        // The first byte is the family: a bridge's events about its ports come this way, too.
        libc::RTM_NEWLINK | libc::RTM_DELLINK => {
            if payload.first() == Some(&(libc::AF_UNSPEC as u8)) {
                // Some IPv4 routes and addresses go with a link without an event of their own.
                *stale = Stale { neighbours: stale.neighbours, ..Stale::ALL };
            }
        }
        libc::RTM_NEWADDR | libc::RTM_DELADDR => {
            stale.addresses = true;
            stale.routes = true;
        }
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => {
            let table = payload.get(4).copied();
            stale.routes |= table.is_none_or(route::is_ours);
        }
        _ => stale.routes = true,
    }
}
