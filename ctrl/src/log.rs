//! Logs go to stderr, for people or as JSON. `RUST_LOG` chooses what; the default is `info`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::desired::LogFormat;

/// Starts logging. A second call changes nothing.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_writer(std::io::stderr);
    // A test that runs two gateways in one process keeps the first one's logger.
    let _ = match format {
        LogFormat::Human => logs.with_target(false).try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
}
