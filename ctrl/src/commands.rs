//! One module for each subcommand.

/// `portreeve run`
pub mod run;
/// `portreeve check`
pub mod check;
/// `portreeve diff`
pub mod diff;
/// `portreeve status`
pub mod status;
/// `portreeve services`
pub mod services;
/// `portreeve pools`
pub mod pools;
/// `portreeve leases`
pub mod leases;
/// `portreeve flows`
pub mod flows;
/// `portreeve drain` and `undrain`
pub mod drain;
/// `portreeve vip`
pub mod vip;
/// `portreeve trace`
pub mod trace;
/// `portreeve doctor`
pub mod doctor;
/// `portreeve capture`
pub mod capture;
/// `portreeve detach`
pub mod detach;
/// Asks the admin API.
mod client;
/// Ports that the host itself uses.
pub mod host;
/// Columns for people.
mod columns;
/// A configuration file, with its text for messages.
mod file;
