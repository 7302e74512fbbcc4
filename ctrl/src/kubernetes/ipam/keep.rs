//! What a service may keep: of the addresses that it has, and of those that its object names.

use std::net::IpAddr;

use super::ledger::{Ledger, Place};
use super::view::View;

/// When it is asked what a service may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Nobody has anything but what objects list. Whatever can be kept is kept, so that a restart
    /// renumbers nothing.
    Start,
    /// Something changed.
    Change,
}

/// Takes from a service what no longer fits what it asks for, who it shares with, or the pool's
/// selector.
pub fn drop_unfit(ledger: &mut Ledger, view: &mut View) {
    // From behind, as Cilium does: the order in which addresses come back decides which is next.
    for at in (0..view.held.len()).rev() {
        let address = view.held[at];
        if !fits(ledger, view, address) {
            ledger.leave(address, &view.key);
            view.held.remove(at);
        }
    }
}

fn fits(ledger: &Ledger, view: &View, address: IpAddr) -> bool {
    let Some(pool) = ledger.origin(address) else { return false };
    // A selector that makes no sense says nothing against what was given before.
    pool.selects(&view.request.labels).unwrap_or(true)
        && ledger.objection(address, &view.key, &view.request.terms).is_none()
        && is_asked_for(view, address)
}

fn is_asked_for(view: &View, address: IpAddr) -> bool {
    let request = &view.request;
    if request.addresses.is_empty() {
        request.families.have(address)
    } else {
        request.addresses.contains(&address)
    }
}

/// At a start: enters the addresses that the object lists. Who may share one is known when the
/// addresses of all services have been entered, so that nothing is stripped yet.
pub fn enter_listed(ledger: &mut Ledger, view: &mut View) {
    let listed: Vec<IpAddr> = view.wanted.addresses().collect();
    for address in listed {
        if !view.held.contains(&address) {
            adopt(ledger, view, address, Occasion::Start);
        }
    }
}

/// Enters the addresses that the object lists and that can be the service's, and strips the others
/// from the list.
pub fn adopt_listed(ledger: &mut Ledger, view: &mut View, occasion: Occasion) {
    let mut listed = std::mem::take(&mut view.wanted.ingress);
    listed.retain(|ingress| {
        let address: Result<IpAddr, _> = ingress.ip.parse();
        let keeps =
            |address| view.held.contains(&address) || adopt(ledger, view, address, occasion);
        address.is_ok_and(keeps)
    });
    listed.dedup_by(|a, b| a.ip == b.ip);
    view.wanted.ingress = listed;
}

/// False where others have it, but for what was shared before a start: the usual way finds out
/// whether and which address can be shared.
fn adopt(ledger: &mut Ledger, view: &mut View, address: IpAddr, occasion: Occasion) -> bool {
    let start = occasion == Occasion::Start;
    let (key, terms) = (&view.key, &view.request.terms);
    if !is_asked_for(view, address) {
        return false;
    }
    if ledger.is_held(address) {
        let shares = terms.key.is_some() && ledger.objection(address, key, terms).is_none();
        if !start || !shares {
            return false;
        }
        ledger.join(address, key, terms);
    } else {
        let Place::In(range) = ledger.place(address, &view.request, start) else { return false };
        // An end that is kept back now may have been given before it was.
        if !start && ledger.is_taken(address, range) {
            return false;
        }
        ledger.give(address, range, key, terms);
    }
    view.held.push(address);
    true
}
