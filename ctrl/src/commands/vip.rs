use std::process::ExitCode;

use super::client;
use crate::api_types::{Apart, VipOrder};
use crate::cli::VipCommand;

/// Holds or releases addresses.
///
/// # Errors
/// When the gateway does not answer or refuses.
pub fn run(command: &VipCommand) -> anyhow::Result<ExitCode> {
    let (which, lease, path) = match command {
        VipCommand::Hold(args) => (&args.which, args.lease, "/v1/vip/hold"),
        VipCommand::Release(which) => (which, None, "/v1/vip/release"),
    };
    let lease_ms = lease.map(|lease| lease.as_millis() as u64);
    let order = VipOrder { lease_ms, ..which.address };
    let text = client::post(&which.client.socket, path, &order)?;
    if which.client.json {
        println!("{}", text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    for address in client::decode::<Vec<Apart>>(path, &text)? {
        println!("{} {}", address.address, address.hold);
    }
    Ok(ExitCode::SUCCESS)
}
