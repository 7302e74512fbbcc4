/// Keys and sections of the file itself.
pub const TOP: &[&str] =
    &["gateway", "kubernetes", "worker", "maglev", "snat", "timeouts", "port", "router", "service"];
/// Keys of `[gateway]`.
pub const GATEWAY: &[&str] =
    &["name", "api", "metrics", "log", "pin_dir", "vips_at_start", "linger"];
/// Keys of `[kubernetes]`.
pub const KUBERNETES: &[&str] = &[
    "kubeconfig",
    "context",
    "node",
    "namespace",
    "reach",
    "pod_routes",
    "on_api_loss",
    "lease_duration",
    "renew_deadline",
    "retry_period",
    "ipam",
];
/// Keys of `[worker]`.
pub const WORKER: &[&str] = &["count", "cores", "flows", "poll", "ring", "frames"];
/// Keys of `[maglev]`.
pub const MAGLEV: &[&str] = &["table_size", "seed"];
/// Keys of `[snat]`.
pub const SNAT: &[&str] = &["addresses", "ports", "shared_ports"];
/// Keys of `[timeouts]`.
pub const TIMEOUTS: &[&str] = &["tcp_syn", "tcp_established", "tcp_fin", "udp"];
/// Keys of `[[port]]`.
pub const PORT: &[&str] = &["name", "mode"];
/// Keys of `[[router]]`.
pub const ROUTER: &[&str] = &["address", "announce"];
/// Keys of `[[service]]`.
pub const SERVICE: &[&str] = &[
    "name",
    "vip",
    "vips",
    "announce",
    "mode",
    "snat_addresses",
    "ports",
    "backends",
    "table_size",
    "health",
    "affinity",
    "allow",
    "deny",
    "hairpin",
    "mss",
    "stateless_replies",
];
/// Keys of an element of `ports` of a service.
pub const SERVICE_PORT: &[&str] = &["port", "protocol", "target"];
/// Keys of an element of `backends` of a service.
pub const BACKEND: &[&str] = &["address", "port", "weight"];
/// Keys of `[service.health]`.
pub const HEALTH: &[&str] = &[
    "kind",
    "path",
    "host",
    "status",
    "port",
    "interval",
    "timeout",
    "rise",
    "fall",
    "reset_on_fail",
    "panic",
];

/// Every section with its keys, as a document would write them.
pub const ALL: &[(&str, &[&str])] = &[
    ("[gateway]", GATEWAY),
    ("[kubernetes]", KUBERNETES),
    ("[worker]", WORKER),
    ("[maglev]", MAGLEV),
    ("[snat]", SNAT),
    ("[timeouts]", TIMEOUTS),
    ("[[port]]", PORT),
    ("[[router]]", ROUTER),
    ("[[service]]", SERVICE),
    ("ports of [[service]]", SERVICE_PORT),
    ("backends of [[service]]", BACKEND),
    ("[service.health]", HEALTH),
];
