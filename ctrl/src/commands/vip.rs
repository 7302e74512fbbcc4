use std::process::ExitCode;

use super::client;
use crate::api_types::Apart;
use crate::cli::VipCommand;

/// Holds or releases addresses.
///
/// # Errors
/// When the gateway does not answer or refuses.
pub fn run(command: &VipCommand) -> anyhow::Result<ExitCode> {
    let (which, path) = match command {
        VipCommand::Hold(which) => (which, "/v1/vip/hold"),
        VipCommand::Release(which) => (which, "/v1/vip/release"),
    };
    let text = client::post(&which.client.socket, path, &which.address)?;
    if which.client.json {
        println!("{}", text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    for address in client::decode::<Vec<Apart>>(path, &text)? {
        println!("{} {}", address.address, address.hold);
    }
    Ok(ExitCode::SUCCESS)
}
