//! The control plane of Portreeve. Read the modules in this order.

#![forbid(unsafe_code)]

/// What is wrong, where, and what to write instead.
pub mod problem;
/// What the operator wants, whatever the source.
pub mod desired;
/// Where `Desired` comes from.
pub mod source;
/// The objects of a cluster.
pub mod kubernetes;
/// What can be wrong with a `Desired` on any host.
pub mod validate;
/// Whether backends answer.
pub mod health;
/// From what the source wants to what holds now: drains, failed backends, released addresses.
pub mod overlay;
/// What the kernel knows of links, addresses, routes and neighbours.
pub mod topology;
/// The kernel's links, addresses, routes and neighbours, kept current.
pub mod netlink;
/// What the steering program shall send to our sockets.
pub mod steering;
/// `Desired` and topology to tables, or a list of problems.
pub mod compile;
/// Loads the steering program and keeps its maps in step.
pub mod steer;
/// What a change does before it is made.
pub mod diff;
/// The memory that a configuration takes.
pub mod memory;
/// What would become of a packet, decision by decision.
pub mod trace;
/// The host seen with our eyes: what keeps packets from getting through, and what to do.
pub mod doctor;
/// What the admin API says, as types.
pub mod api_types;
/// The command line.
pub mod cli;
/// One module for each subcommand.
pub mod commands;
/// IPv6 groups that are joined, so that solicitations reach us.
pub mod groups;
/// Notices when the configuration file changes.
pub mod watch;
/// Giving up what is only needed to start.
pub mod privileges;
/// Asks the links whether somebody else has an address.
pub mod probe;
/// Tells the service manager how we are.
pub mod notify;
/// Logs.
pub mod log;
/// The running gateway: one loop, one event at a time.
pub mod run;
/// Packets that workers copied, on their way to a file.
pub mod capture;
/// The admin API and where metrics are had.
pub mod api;
/// Everything that is counted, for Prometheus.
pub mod metrics;
