use std::time::Instant;

use anyhow::Result;

use super::running::owned_elsewhere;
use super::{Facts, Finding};
use crate::compile::Compiled;
use crate::probe::Probing;
use crate::run::conflicts::new_targets;

/// Asks the links who else has the addresses that the configuration announces. Takes 200 ms.
///
/// # Errors
/// Without the right to open packet sockets.
pub fn owners(facts: &Facts) -> Result<Vec<Finding>> {
    let Some(compiled) = facts.wanted.as_ref().and_then(|wanted| wanted.compiled.as_ref()) else {
        return Ok(Vec::new());
    };
    let targets = new_targets(&Compiled::default(), compiled);
    let asked = targets.len();
    #[expect(clippy::disallowed_methods, reason = "a command's own time")]
    let probing = Probing::begin(targets, Instant::now())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let owners = runtime.block_on(probing.owners(true));
    if owners.is_empty() {
        let what = format!("nobody else answers for our addresses ({asked} asked for)");
        return Ok(vec![Finding::fine("addresses", what)]);
    }
    let found = owners.into_iter().map(|(target, mac)| {
        let place = format!("{}, just now", target.port);
        owned_elsewhere(target.addr.to_ip(), &mac.to_string(), &place)
    });
    Ok(found.collect())
}
