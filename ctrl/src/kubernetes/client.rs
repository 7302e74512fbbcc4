use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::desired::kubernetes::KubernetesSettings;

/// An API server that does not take a connection within this time is not there.
const CONNECT: Duration = Duration::from_secs(5);

/// A client for the cluster of `settings`. Asks nobody yet.
///
/// # Errors
/// When the kubeconfig, or what the service account left in the pod, cannot be used.
pub async fn client(settings: &KubernetesSettings) -> Result<Client> {
    let mut config = match &settings.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("read the kubeconfig {}", path.display()))?;
            let options =
                KubeConfigOptions { context: settings.context.clone(), ..Default::default() };
            Config::from_custom_kubeconfig(file, &options)
                .await
                .with_context(|| format!("use the kubeconfig {}", path.display()))?
        }
        None => Config::incluster().context(
            "there is no service account here: outside of a pod, [kubernetes] needs `kubeconfig`",
        )?,
    };
    config.connect_timeout = Some(CONNECT);
    Client::try_from(config).context("make a client for the API server")
}
