//! What can be wrong with a `Desired` on any host and from any source. What depends on the host
//! is found by `crate::compile`.

/// Which addresses can be what.
mod address;
/// Ports and ranges.
mod gateway;
/// What a mode asks of its service.
mod modes;
/// Router addresses.
mod router;
/// One service.
mod service;
/// Services against each other.
mod between;

use crate::desired::{Desired, Service};
use crate::problem::Problem;

/// What is wrong with one service, whatever else there is; `desired` is what it would be part of.
#[must_use]
pub fn validate_alone(service: &Service, desired: &Desired) -> Vec<Problem> {
    let mut problems = Vec::new();
    service::check(service, desired, &mut problems);
    modes::check(service, &mut problems);
    problems
}

/// Every problem, warnings included, in no order.
#[must_use]
pub fn validate(desired: &Desired) -> Vec<Problem> {
    let mut problems = Vec::new();
    gateway::ports(desired, &mut problems);
    gateway::sources(desired, &mut problems);
    for service in &desired.services {
        problems.extend(validate_alone(service, desired));
    }
    between::names(desired, &mut problems);
    between::frontends(desired, &mut problems);
    between::vips_as_backends(desired, &mut problems);
    between::own_as_backends(desired, &mut problems);
    modes::shared_backends(desired, &mut problems);
    router::check(desired, &mut problems);
    problems
}
