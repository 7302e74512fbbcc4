//! Gives a service what it asks for, as far as it can be had.

use std::net::IpAddr;

use super::ledger::{Ledger, Place};
use super::view::View;
use crate::kubernetes::api::condition::Truth;
use crate::kubernetes::api::service::Ingress;

/// Why a service has nothing: as one word, and in words.
const NO_POOL: (&str, &str) =
    ("no_pool", "There are no enabled CiliumLoadBalancerIPPools that match this service");
const OUT_OF_ADDRESSES: (&str, &str) = (
    "out_of_ips",
    "All enabled CiliumLoadBalancerIPPools that match this service ran out of allocatable IPs",
);

/// Gives a service what it lacks, lists all that it has, and says how that went.
pub fn satisfy(ledger: &mut Ledger, view: &mut View) {
    if view.request.addresses.is_empty() {
        any_of_each_family(ledger, view);
    } else {
        those_asked_for(ledger, view);
    }
    for &address in &view.held {
        if !view.wanted.lists(address) {
            // One that was taken away and given back at once is not news.
            let listed = view.shown.find(address).cloned();
            let new = || Ingress { ip: address.to_string(), ..Ingress::default() };
            view.wanted.ingress.push(listed.unwrap_or_else(new));
        }
    }
    if view.is_satisfied() {
        view.say(Truth::True, "satisfied", String::new());
    }
}

/// A service that asks for addresses gets these or none: another one would not do.
fn those_asked_for(ledger: &mut Ledger, view: &mut View) {
    for address in view.request.addresses.clone() {
        if view.held.contains(&address) {
            continue;
        }
        match ask(ledger, view, address) {
            Ok(()) => view.held.push(address),
            Err((reason, message)) => view.say(Truth::False, reason, message),
        }
    }
}

fn ask(ledger: &mut Ledger, view: &View, address: IpAddr) -> Result<(), (&'static str, String)> {
    let (key, terms) = (&view.key, &view.request.terms);
    let range = match ledger.place(address, &view.request, false) {
        Place::In(range) => range,
        Place::NotForIt => {
            let message = format!(
                "The pool with the CIDR containing '{address}', doesn't select this service"
            );
            return Err(("pool_selector_mismatch", message));
        }
        Place::Nowhere => {
            let message = format!("No pool exists with a CIDR containing '{address}'");
            return Err(("no_pool", message));
        }
    };
    if !ledger.is_taken(address, range) {
        ledger.give(address, range, key, terms);
        return Ok(());
    }
    // An address that is kept back has nobody to share it with.
    if terms.key.is_none() || !ledger.is_held(address) {
        let message = format!("The IP '{address}' is already allocated to another service");
        return Err(("already_allocated", message));
    }
    if let Some(objection) = ledger.objection(address, key, terms) {
        let message = format!(
            "The IP '{address}' is already allocated to an incompatible service. Reason: {objection}"
        );
        return Err(("already_allocated_incompatible_service", message));
    }
    ledger.join(address, key, terms);
    Ok(())
}

fn any_of_each_family(ledger: &mut Ledger, view: &mut View) {
    for ipv4 in [true, false] {
        let families = view.request.families;
        let wants = if ipv4 { families.ipv4 } else { families.ipv6 };
        if wants && !view.held.iter().any(|address| address.is_ipv4() == ipv4) {
            match any(ledger, view, ipv4) {
                Ok(address) => view.held.push(address),
                Err((reason, message)) => view.say(Truth::False, reason, message.to_owned()),
            }
        }
    }
}

/// An address to share comes first; whether its pool is for the service, or disabled, is not asked.
fn any(
    ledger: &mut Ledger,
    view: &View,
    ipv4: bool,
) -> Result<IpAddr, (&'static str, &'static str)> {
    let (key, terms) = (&view.key, &view.request.terms);
    if let Some(address) = ledger.shareable(ipv4, key, terms) {
        ledger.join(address, key, terms);
        return Ok(address);
    }
    let mut full = false;
    let enabled = ledger.pools.iter().filter(|pool| pool.is_enabled());
    let for_it = enabled.filter(|pool| pool.selects(&view.request.labels).unwrap_or(false));
    for range in for_it.flat_map(|pool| &pool.ranges) {
        if range.span.is_ipv4() != ipv4 {
            continue;
        }
        if let Some(address) = range.next() {
            let id = range.id;
            ledger.give(address, id, key, terms);
            return Ok(address);
        }
        full = true;
    }
    Err(if full { OUT_OF_ADDRESSES } else { NO_POOL })
}
