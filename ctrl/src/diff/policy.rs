use std::collections::BTreeSet;

use dataplane::tables::frontend::Mode;
use ipnet::IpNet;

use super::service::listed;
use crate::desired::{Affinity, Located, Service};

/// What is different in mode and policy, one line each.
pub fn compare(old: &Service, new: &Service) -> Vec<String> {
    let mut changes = Vec::new();
    if old.mode != new.mode {
        // Flows that take a source address of ours go on: they need nothing of any mode.
        let ends = if old.mode == Mode::Snat { "" } else { " (its established flows end)" };
        changes.push(format!("~ mode {} -> {}{ends}", old.mode.name(), new.mode.name()));
    }
    let (before, after) = (&old.policy, &new.policy);
    if before.affinity != after.affinity {
        let (before, after) = (affinity(before.affinity), affinity(after.affinity));
        changes
            .push(format!("~ affinity {before} -> {after} (clients choose their backends anew)"));
    }
    listed(&mut changes, "allow", [&before.allow, &after.allow].map(|list| nets(list)));
    listed(&mut changes, "deny", [&before.deny, &after.deny].map(|list| nets(list)));
    listed(&mut changes, "hairpin", [&before.hairpin, &after.hairpin].map(|list| nets(list)));
    if before.mss != after.mss {
        let show = |service: &Service| {
            service.policy.mss.as_ref().map_or("as announced".into(), |mss| mss.value.to_string())
        };
        changes.push(format!("~ mss {} -> {}", show(old), show(new)));
    }
    let (before, after) = (before.stateless_replies(), after.stateless_replies());
    if before != after {
        changes.push(format!("~ stateless_replies {before} -> {after}"));
    }
    changes
}

const fn affinity(affinity: Affinity) -> &'static str {
    match affinity {
        Affinity::None => "none",
        Affinity::Client => "client",
    }
}

fn nets(list: &[Located<IpNet>]) -> BTreeSet<String> {
    list.iter().map(|net| net.value.to_string()).collect()
}
