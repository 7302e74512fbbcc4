use std::path::PathBuf;

/// The cluster whose objects are served besides what the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// How to reach it; `None` for the service account of the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; `None` for its current one.
    pub context: Option<String>,
    /// Name of our node; `None` for `NODE_NAME` of the environment, else the host's name.
    pub node: Option<String>,
    /// Where our leases are, and `cilium-config`.
    pub namespace: String,
    /// How pods are reached.
    pub reach: Reach,
    /// Whether nodes on our links are taken for the routers of their pods.
    pub pod_routes: bool,
    /// What becomes of announcing while the API server does not answer.
    pub on_api_loss: OnApiLoss,
    /// Whether we give addresses of pools to services.
    pub ipam: IpamMode,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            node: None,
            namespace: "kube-system".into(),
            reach: Reach::default(),
            pod_routes: false,
            on_api_loss: OnApiLoss::default(),
            ipam: IpamMode::default(),
        }
    }
}

/// How pods are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// As `cilium-config` suggests.
    #[default]
    Auto,
    /// At their own addresses, by routes of this host.
    Pods,
    /// By the node ports of their service.
    NodePort,
}

/// What becomes of announcing while the API server does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnApiLoss {
    /// It ends with the lease.
    #[default]
    Release,
    /// Who had the lease last goes on.
    Hold,
}

/// Whether we give addresses of pools to services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpamMode {
    /// Unless Cilium does.
    #[default]
    Auto,
    /// We do.
    On,
    /// Others do.
    Off,
}
