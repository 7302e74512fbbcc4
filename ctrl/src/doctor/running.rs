use super::{Facts, Finding};
use crate::api_types::Status;

pub(super) fn examine(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(status) = &facts.status else {
        let what = "no gateway answers here: what only a running one knows is left out";
        found.push(Finding::fine("gateway", what));
        return;
    };
    let (name, version) = (&status.gateway, &status.version);
    found.push(Finding::fine("gateway", format!("gateway {name} runs, version {version}")));
    if !status.last_reload.ok {
        found.push(Finding::error(
            "config_refused",
            format!(
                "the configuration file was refused, the one before is in force: {}",
                status.last_reload.problems.join(" ")
            ),
            "mend the file; it is read again by itself",
        ));
    }
    for conflict in &status.conflicts {
        found.push(owned_elsewhere(
            conflict.address,
            &conflict.mac,
            &format!("{}, {} s ago", conflict.port, conflict.seconds_ago),
        ));
    }
    drops(status, found);
    full(status, found);
}

/// Two stations answer for one address.
pub(super) fn owned_elsewhere(address: std::net::IpAddr, mac: &str, place: &str) -> Finding {
    Finding::error(
        "address_conflict",
        format!("{address} is also claimed by {mac} ({place}): hosts go to one or the other"),
        "find that station by its MAC, and take the address from it or from this gateway",
    )
}

/// Reasons that say by themselves what is wrong.
fn drops(status: &Status, found: &mut Vec<Finding>) {
    let count = |reason: &str| status.drops.get(reason).copied().unwrap_or(0);
    for (reason, help) in [
        ("flow_table_full", "raise `flows` in [worker]"),
        ("ports_exhausted", "add SNAT addresses (snat.addresses, snat_addresses)"),
        ("no_snat_address", "name SNAT addresses of this family"),
        ("no_route", "look at the host's routes: `portreeve trace` says which address has none"),
        ("hop_unresolved", "a next hop does not answer: `ip neigh` shows which"),
        ("tx_full", "raise `ring` and `frames` in [worker]; is a port down?"),
    ] {
        let packets = count(reason);
        if packets > 0 {
            let what = format!("{packets} packets were dropped since the start: {reason}");
            found.push(Finding::warning("drops", what, help));
        }
    }
    if let Some(frames) = &status.frames
        && frames.rx_ring_full + frames.fill_ring_empty > 0
    {
        found.push(Finding::warning(
            "lost_in_kernel",
            format!(
                "the kernel dropped {} packets because a ring was full or empty",
                frames.rx_ring_full + frames.fill_ring_empty
            ),
            "raise `ring` and `frames` in [worker], or give the worker a core of its own",
        ));
    }
}

fn full(status: &Status, found: &mut Vec<Finding>) {
    for worker in &status.workers {
        if worker.flows * 10 > worker.flows_max * 9 {
            found.push(Finding::warning(
                "flows_short",
                format!(
                    "{} of {} places of a flow table are taken",
                    worker.flows, worker.flows_max
                ),
                "raise `flows` in [worker]",
            ));
        }
    }
}
