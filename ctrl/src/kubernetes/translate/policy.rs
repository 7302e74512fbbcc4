use dataplane::tables::frontend::Mode;
use ipnet::IpNet;

use super::Complaints;
use crate::desired::{Affinity, Located, PolicySettings};
use crate::kubernetes::api::service::Service;

/// How packets reach the backends, in our own words.
const MODE: &str = "portreeve.io/mode";
/// The same in Cilium's.
const FORWARDING: &str = "service.cilium.io/forwarding-mode";
/// How a backend is chosen.
const ALGORITHM: &str = "service.cilium.io/lb-algorithm";
/// Whether the source ranges are those that are served, or those that are not.
const RANGES: &str = "service.cilium.io/src-ranges-policy";

/// What a service does besides balancing.
#[derive(Debug)]
pub struct Policy {
    /// How packets reach the backends.
    pub mode: Mode,
    /// Clients and affinity.
    pub settings: PolicySettings,
}

/// What is wanted; `None` when it cannot be served without serving whom it must not.
pub fn of(service: &Service, complaints: &mut Complaints<'_>) -> Option<Policy> {
    let ranges = ranges(service, complaints)?;
    let (allow, deny) = match annotation(service, RANGES) {
        None | Some("allow") => (ranges, Vec::new()),
        Some("deny") => (Vec::new(), ranges),
        Some(other) => {
            let what = format!("{RANGES} is \"{other}\", neither allow nor deny: it is not served");
            complaints.add("SourceRangesInvalid", what);
            return None;
        }
    };
    let affinity = match service.spec.session_affinity.as_str() {
        "ClientIP" => Affinity::Client,
        _ => Affinity::None,
    };
    let mode = mode(service, complaints);
    algorithm(service, complaints);
    if service.spec.external_traffic_policy == "Local" && mode == Mode::Snat {
        let what = "externalTrafficPolicy is Local, but backends see this gateway's address in \
                    mode snat; portreeve.io/mode: nat or dsr-l2 keeps the client's";
        complaints.add("ClientAddressNotKept", what);
    }
    let settings = PolicySettings { affinity, allow, deny, ..PolicySettings::default() };
    Some(Policy { mode, settings })
}

/// A range that cannot be read must not let anybody in.
fn ranges(service: &Service, complaints: &mut Complaints<'_>) -> Option<Vec<Located<IpNet>>> {
    let mut ranges: Vec<IpNet> = Vec::new();
    // Addresses that others route to us are not what these are about, but who is kept out of one is kept
    // out of all.
    for text in &service.spec.load_balancer_source_ranges {
        let Ok(range) = text.trim().parse::<IpNet>() else {
            let what = format!("loadBalancerSourceRanges names \"{text}\": it is not served");
            complaints.add("SourceRangesInvalid", what);
            return None;
        };
        if !ranges.contains(&range.trunc()) {
            ranges.push(range.trunc());
        }
    }
    Some(ranges.into_iter().map(Located::nowhere).collect())
}

fn mode(service: &Service, complaints: &mut Complaints<'_>) -> Mode {
    match annotation(service, MODE) {
        Some("snat") => return Mode::Snat,
        Some("nat") => return Mode::Nat,
        Some("dsr-l2") => return Mode::DsrL2,
        Some(other) => {
            let what = format!("{MODE} is \"{other}\", not snat, nat or dsr-l2: snat is used");
            complaints.add("ModeNotSupported", what);
        }
        None => {}
    }
    match annotation(service, FORWARDING) {
        None | Some("snat") => {}
        Some("dsr") => {
            let what = format!("{FORWARDING} is dsr, which is not built: snat is used");
            complaints.add("ModeNotSupported", what);
        }
        Some(other) => {
            let what = format!("{FORWARDING} is \"{other}\", neither snat nor dsr: snat is used");
            complaints.add("ModeNotSupported", what);
        }
    }
    Mode::Snat
}

fn algorithm(service: &Service, complaints: &mut Complaints<'_>) {
    if let Some(other) = annotation(service, ALGORITHM).filter(|name| *name != "maglev") {
        let what = format!("{ALGORITHM} is \"{other}\": backends are chosen by maglev here");
        complaints.add("AlgorithmNotSupported", what);
    }
}

fn annotation<'s>(service: &'s Service, key: &str) -> Option<&'s str> {
    service.metadata.annotations.get(key).map(String::as_str)
}
