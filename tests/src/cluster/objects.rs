use anyhow::Result;

use super::Cluster;

/// The YAML of a node with these labels, as a kubelet would report it.
#[must_use]
pub fn node(name: &str, labels: &[(&str, &str)]) -> String {
    let labels: String =
        labels.iter().map(|(key, value)| format!("    {key}: \"{value}\"\n")).collect();
    format!("---\napiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  labels:\n{labels}")
}

/// A pod that a kubelet would have started.
#[derive(Debug, Clone, Copy)]
pub struct Pod<'a> {
    /// Namespace.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// The host of the lab that has its address.
    pub address: &'a str,
}

impl Cluster<'_> {
    /// Reports a pod as running and ready, or not ready, under its address.
    ///
    /// # Errors
    /// When there is no such pod.
    pub fn report(&self, pod: &Pod<'_>, ready: bool) -> Result<()> {
        let Pod { namespace, name, address } = pod;
        let status = if ready { "True" } else { "False" };
        let patch = format!(
            r#"{{"status":{{"phase":"Running","podIP":"{address}","podIPs":[{{"ip":"{address}"}}],"conditions":[{{"type":"Ready","status":"{status}"}}]}}}}"#
        );
        let args = ["patch", "pod", name, "-n", namespace, "--subresource=status", "-p", &patch];
        self.kubectl(&args)?.ok().map(drop)
    }
}
