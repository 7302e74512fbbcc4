//! Every system package that building, testing or trying Portreeve needs, named once, as Debian
//! and Ubuntu call them. LLVM's packages carry their version in the name; see [`crate::llvm`].

/// To build the workspace: libxdp and libbpf are compiled from their crates, and libFuzzer.
pub const BUILD: &[&str] = &[
    "ca-certificates",
    "g++",
    "gcc",
    "libbpf-dev",
    "libc6-dev",
    "libelf-dev",
    "linux-libc-dev",
    "m4",
    "make",
    "pkg-config",
    "zlib1g-dev",
];

/// To run the lab and look into it; valgrind counts instructions; nginx and keepalived are what
/// others run behind and beside a gateway.
pub const LAB: &[&str] = &[
    "curl",
    "ethtool",
    "iproute2",
    "iputils-ping",
    "keepalived",
    "nftables",
    "nginx",
    "procps",
    "tcpdump",
    "tshark",
    "traceroute",
    "valgrind",
];

/// Peers of `cargo xtask bench wire`, besides what the lab has: each is left out where it cannot
/// be had.
pub const BENCH: &[&str] = &["dpdk-dev", "haproxy"];

/// The AF_XDP driver of DPDK, as a pattern of names.
pub const XDP_DRIVER: &str = "^librte-net-af-xdp[0-9]+$";

/// For `cargo xtask ci` alone: its prebuilt tools live in a Python environment.
pub const CI: &[&str] = &["git", "python3", "python3-venv"];

/// What one LLVM version is made of: the compiler, `llc`, and the library that bindgen loads.
pub fn llvm(version: u32) -> [String; 3] {
    [format!("clang-{version}"), format!("llvm-{version}"), format!("libclang1-{version}")]
}

/// The version with which the checked-in steering object is compared; `ci` wants this one.
pub const CI_LLVM: u32 = 19;
