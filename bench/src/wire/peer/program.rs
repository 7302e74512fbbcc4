use anyhow::{Context as _, Result};
use aya::programs::Xdp;
use aya::programs::xdp::XdpMode;
use aya::{Ebpf, EbpfLoader};
use portreeve_tests::host::Host;

use crate::wire::generator::OBJECT;

/// Loads an object of its own and attaches its program `name` to `interfaces` of `host`, in the
/// driver; all of it goes with the object.
///
/// # Errors
/// When the kernel refuses the program, or the driver has no XDP.
pub fn attach(host: Option<&Host>, name: &str, interfaces: &[&str]) -> Result<Ebpf> {
    attach_with(host, name, interfaces, XdpMode::Driver)
}

/// As [`attach`], in the mode given.
///
/// # Errors
/// As [`attach`].
pub fn attach_with(
    host: Option<&Host>,
    name: &str,
    interfaces: &[&str],
    mode: XdpMode,
) -> Result<Ebpf> {
    let mut object = EbpfLoader::new().btf(None).load(OBJECT).context("load the object")?;
    let program: &mut Xdp =
        object.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?;
    program.load().with_context(|| format!("load the program {name}"))?;
    for interface in interfaces {
        let mut attach = || program.attach(interface, mode).map(drop);
        match host {
            Some(host) => host.enter(attach)?,
            None => attach(),
        }
        .with_context(|| format!("attach the program {name} to {interface}"))?;
    }
    Ok(object)
}
