use anyhow::Result;
use aya::Ebpf;

use super::{Peer, program};
use crate::wire::rig::{NEAR, Rig};

/// Nobody: an XDP program drops what comes. What arrives then is all that the generator can do.
struct Alone {
    _object: Ebpf,
}

impl Peer for Alone {}

/// Attaches the program.
///
/// # Errors
/// When the kernel refuses it.
pub fn start(rig: &Rig) -> Result<Box<dyn Peer>> {
    Ok(Box::new(Alone { _object: program::attach(Some(&rig.gateway), "sink", &[NEAR])? }))
}
