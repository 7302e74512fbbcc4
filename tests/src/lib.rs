//! The lab: hosts as network namespaces, joined by veth links, with real servers, real clients and
//! the real appliance in them. Everything is undone however a test ends. Read in this order.

/// A lab and its links.
pub mod lab;
/// A host: addresses, routes, sysctls, programs run inside it.
pub mod host;
/// Network namespaces by name.
pub mod netns;
/// The `ip` program.
pub mod iproute;
/// Programs that run in the background, killed when their guard goes.
pub mod process;
/// What must be undone, also after a panic or Ctrl-C.
pub mod cleanup;
/// Directories that belong to one run.
pub mod run_dir;
/// A bpffs of one's own.
pub mod bpffs;
/// The lab of the study log that this project starts from.
pub mod seed;
/// A lab in which everybody is on one link, and servers have the VIP on a loopback.
pub mod flat;
/// Two gateways beside each other.
pub mod pair;
/// The real keepalived.
pub mod keepalived;
/// A Kubernetes cluster with a real control plane.
pub mod cluster;
/// The seed's lab with a cluster beside it.
pub mod clustered;
/// The chart, rendered by the real Helm.
pub mod chart;
/// The objects of the lab document.
pub mod lab_document;
/// The servers behind the VIPs: `whoami`, downloads, UDP echo.
pub mod server;
/// The `portreeve` process under test.
pub mod appliance;
/// Real nginx as a backend.
pub mod nginx;
/// Readiness in systemd's notification protocol, the waiting side.
pub mod notify;
/// Many requests by real curl, and who answered.
pub mod curl;
/// Many connections that are open at once.
pub mod converse;
/// Downloads, conversations and datagrams whose content is checked.
pub mod traffic;
/// Downloads that are watched while they come.
pub mod pushed;
/// Frames that no sane host sends.
pub mod garbage;
/// SYNs from sources that do not exist.
pub mod flood;
/// New connections at an even pace, and how many of them succeed.
pub mod newcomers;
/// Frames sent as they are.
pub mod raw_port;
/// Pieces of configurations.
pub mod config;
/// TCP connections on which both ends count.
pub mod counted;
/// TCP connections that stay open and go on asking.
pub mod connections;
/// Hosts in a row with the appliance in the middle, for paths with routers.
pub mod chain;
/// Datagrams at an even pace, and how long none came back.
pub mod steady;
/// TCP connections on which only the server speaks.
pub mod news;
/// A client with an empty neighbour table.
pub mod forgetful;
/// Uploads over TCP.
pub mod upload;
/// Frames seen on an interface.
pub mod sniffer;
/// The kernel's own forwarding and reset counters.
pub mod snmp;
/// Maglev and flow hash once more, written independently of the data path.
pub mod model;
/// Where the built programs are.
pub mod program;
/// What commands say of set-ups that are wrong.
pub mod diagnosis;
/// Tests that cannot run here say so.
pub mod skip;
