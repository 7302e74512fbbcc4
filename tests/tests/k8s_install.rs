//! What is shipped to install a gateway with is what the real Helm and the real API server take.

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::chart::{Helm, file};
use portreeve_tests::cluster::{Cluster, User};
use portreeve_tests::host::Host;
use portreeve_tests::lab::Lab;
use portreeve_tests::lab_document;
use portreeve_tests::program::built;
use portreeve_tests::run_dir::RunDir;
use portreeve_tests::skip::{has_control_plane, say};

const ADDRESS: &str = "127.0.0.1";
const CRDS: &str = "deploy/kubernetes/crds";
const CHART: &str = "deploy/chart/portreeve";
const MANIFEST: &str = "deploy/kubernetes/daemonset.yaml";

/// Helm, where a control plane can be started besides.
fn helm(test: &str) -> Option<Helm> {
    if !has_control_plane(test) {
        return None;
    }
    Helm::find().inspect_err(|error| say(test, &format!("{error:#}"))).ok()
}

/// Gives a file to the API server for good, or only to be looked at; unknown fields are errors.
fn give(cluster: &Cluster<'_>, text: &str, more: &[&str]) -> Result<String> {
    let dir = RunDir::new()?;
    let path = dir.path().join("objects.yaml");
    std::fs::write(&path, text)?;
    let path = path.to_string_lossy();
    cluster.kubectl(&[&["apply", "--validate=strict", "-f", &path], more].concat())?.ok()
}

/// Values that change everything that can be changed without the Prometheus operator.
const EVERYTHING: [&str; 9] = [
    "--set=rbac.group=portreeve:gateways,metrics.annotations=true,serviceAccount.name=gw",
    "--set=config.worker.count=2,config.gateway.linger=3s,config.kubernetes.reach=pods",
    "--set-json=ports=[{\"name\":\"ens5\",\"mode\":\"skb\"},\"ens6\"]",
    "--set-json=tolerations=[{\"operator\":\"Exists\"}]",
    "--set-json=config.worker.cores=[1,2]",
    "--set-json=imagePullSecrets=[{\"name\":\"key\"}]",
    "--set-json=podAnnotations={\"a/b\":\"c\"}",
    "--set-json=serviceAccount.annotations={\"a/b\":\"c\"}",
    "--set-string=extraConfig=[[service]]\nname = \"parked\"\nvip = \"10.9.0.1\"\nannounce = \"none\"\nports = [{ port = 80 }]\nbackends = []\n",
];

#[test]
fn the_api_server_takes_what_the_chart_renders() -> Result<()> {
    let Some(helm) = helm("the_api_server_takes_what_the_chart_renders") else { return Ok(()) };
    helm.lint()?;
    let lab = Lab::new("k8s_install")?;
    let host = lab.host("control")?;
    let cluster = Cluster::start(&host, ADDRESS)?;
    cluster.allow_gateways()?;
    let looked_at = ["--dry-run=server"];
    give(&cluster, &std::fs::read_to_string(file(MANIFEST))?, &looked_at)?;
    give(&cluster, &helm.render("other", &[])?, &looked_at)?;
    let rendered = helm.render("gateway", &EVERYTHING)?;
    give(&cluster, &rendered, &[])?;
    // What a field is called wrongly is noticed: the checks above can fail.
    let wrong = give(&cluster, &rendered.replace("hostNetwork:", "hostNetworks:"), &looked_at);
    ensure!(format!("{:?}", wrong.err()).contains("hostNetworks"), "a wrong field was taken");
    roles_are_the_same(&cluster)?;
    configuration_is_one(&cluster, &host)?;
    a_release_comes_and_goes(&helm, &cluster, &host)
}

/// What a gateway of the chart may do is what those of the tests may.
fn roles_are_the_same(cluster: &Cluster<'_>) -> Result<()> {
    for kind in ["clusterrole", "role"] {
        let rules = |name: &str| {
            let args = ["-n", "kube-system", "get", kind, name, "-o", "jsonpath={.rules}"];
            cluster.kubectl(&args)?.ok()
        };
        let (ours, charts) = (rules("portreeve-gateway")?, rules("gateway-portreeve-gateway")?);
        ensure!(!ours.is_empty() && ours == charts, "{kind}: {ours}\n{charts}");
    }
    let may = |who: &str, verb: &str| {
        let args = ["auth", "can-i", verb, "endpointslices", "-A", "--as", who];
        cluster.kubectl(&args).map(|ran| ran.success)
    };
    let account = "system:serviceaccount:kube-system:gw";
    ensure!(may(account, "watch")? && !may(account, "delete")?, "what the account may do");
    ensure!(!may("system:serviceaccount:kube-system:default", "watch")?, "others may nothing");
    Ok(())
}

/// The file in the ConfigMap is one that the program takes.
fn configuration_is_one(cluster: &Cluster<'_>, host: &Host) -> Result<()> {
    let path = "jsonpath={.data.gateway\\.toml}";
    let get = ["-n", "kube-system", "get", "configmap", "gateway-portreeve", "-o", path];
    let text = cluster.kubectl(&get)?.ok()?;
    for part in ["count = 2", "cores = [1,2]", "mode = \"skb\"", "name = \"parked\""] {
        ensure!(text.contains(part), "{part} is missing: {text}");
    }
    let dir = RunDir::new()?;
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, &text)?;
    let program = built("portreeve", "PORTREEVE_BIN")?;
    let args = ["check", "--offline", &file.to_string_lossy()];
    host.run(&program.to_string_lossy(), &args)?.ok().with_context(|| text).map(drop)
}

/// Installed by Helm itself, with the definitions of Cilium's kinds; these stay, since objects do.
fn a_release_comes_and_goes(helm: &Helm, cluster: &Cluster<'_>, host: &Host) -> Result<()> {
    let kubeconfig = cluster.kubeconfig(User::Admin);
    let (program, kubeconfig) = (helm.program().to_string_lossy(), kubeconfig.to_string_lossy());
    let chart = file(CHART);
    let run = |args: &[&str]| {
        let all = [args, &["--namespace=kube-system", "--kubeconfig", &kubeconfig]].concat();
        host.run(&program, &all)?.ok()
    };
    let crds = || cluster.kubectl(&["get", "crd", "-o", "name"])?.ok();
    ensure!(crds()?.is_empty(), "definitions before there is a release");
    run(&["install", "passing", &chart.to_string_lossy()])?;
    let here = crds()?;
    ensure!(here.lines().count() == 3, "{here}");
    run(&["upgrade", "passing", &chart.to_string_lossy(), "--set=metrics.enabled=false"])?;
    run(&["uninstall", "passing"])?;
    let left = ["-n", "kube-system", "get", "ds,cm,sa,role", "-o", "name"];
    let left = cluster.kubectl(&left)?.ok()?;
    ensure!(!left.contains("passing") && crds()? == here, "{left}");
    Ok(())
}

#[test]
fn the_chart_says_what_is_wrong_with_values() -> Result<()> {
    let Some(helm) = helm("the_chart_says_what_is_wrong_with_values") else { return Ok(()) };
    for (values, named) in [
        ("--set-json=ports=[]", "ports"),
        ("--set=metrics.port=0", "metrics"),
        ("--set=prots=x", "prots"),
        ("--set=config.gateway.metrics=x", "gateway"),
        ("--set=config.kubernetse.namespace=x", "kubernetse"),
    ] {
        let error = helm.render("gateway", &[values]).err().with_context(|| values)?;
        ensure!(format!("{error:#}").contains(named), "{values}: {error:#}");
    }
    let rules = ["--set=metrics.rules.enabled=true,metrics.podMonitor.enabled=true"];
    let rendered = helm.render("gateway", &rules)?;
    ensure!(rendered.contains("alert: PortreeveWorkerStalled"), "{rendered}");
    ensure!(rendered.contains("kind: PodMonitor"), "{rendered}");
    Ok(())
}

#[test]
fn a_pod_has_the_capabilities_of_the_unit_and_no_others() -> Result<()> {
    let unit = std::fs::read_to_string(file("deploy/portreeve.service"))?;
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let unit = line.context("the unit bounds nothing")?.split(' ');
    let unit: Vec<_> = unit.filter_map(|name| name.strip_prefix("CAP_")).collect();
    let pod = std::fs::read_to_string(file(MANIFEST))?;
    let (_, added) = pod.split_once("              add:\n").context("nothing is added")?;
    let pod: Vec<_> = added.lines().map_while(|line| line.trim().strip_prefix("- ")).collect();
    ensure!(!pod.is_empty() && pod == unit, "pod: {pod:?}, unit: {unit:?}");
    Ok(())
}

/// Kinds of Cilium's that gateways read, by the name that people type, and one object of a kind of which
/// the lab document has none.
const KINDS: [&str; 3] = ["ippools", "l2announcement", "cn"];
const NODE: &str = "---
apiVersion: cilium.io/v2
kind: CiliumNode
metadata:
  name: gateway
spec:
  addresses: [{type: InternalIP, ip: 192.0.2.1}]
";
const POOL: &str = "---
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata:
  name: wrong
spec:
  blocks: [{cidr: 10.10.200.0/99}]
";

/// The columns of a table.
fn columns(cluster: &Cluster<'_>, kind: &str) -> Result<Vec<String>> {
    let shown = cluster.kubectl(&["get", kind])?.ok()?;
    let header = shown.lines().next().unwrap_or_default();
    let names = header.split("  ").map(str::trim).filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

fn define(cluster: &Cluster<'_>) -> Result<()> {
    let crds = file(CRDS);
    let apply = ["apply", "--validate=strict", "-f", &crds.to_string_lossy()];
    cluster.kubectl(&apply)?.ok()?;
    let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
    cluster.kubectl(&wait)?.ok().map(drop)
}

#[test]
fn our_definitions_take_the_lab_documents_objects_and_show_them_as_cilium_does() -> Result<()> {
    let test = "our_definitions_take_the_lab_documents_objects_and_show_them_as_cilium_does";
    if !has_control_plane(test) {
        return Ok(());
    }
    let lab = Lab::new("k8s_crds")?;
    let host = lab.host("control")?;
    let cluster = Cluster::start(&host, ADDRESS)?;
    define(&cluster)?;
    let of_ours = |yaml: &str| {
        ["CiliumL2AnnouncementPolicy", "CiliumLoadBalancerIPPool"]
            .iter()
            .any(|kind| yaml.contains(&format!("kind: {kind}\n")))
    };
    let pieces = lab_document::pieces();
    let pieces: Vec<_> = pieces.iter().filter(|piece| of_ours(&piece.yaml)).collect();
    ensure!(pieces.len() == 2, "{pieces:?}");
    for piece in pieces {
        give(&cluster, &piece.yaml, &[]).with_context(|| piece.yaml.clone())?;
    }
    give(&cluster, NODE, &[])?;
    let error = give(&cluster, POOL, &[]).err().context("a prefix that there is not was taken")?;
    ensure!(format!("{error:#}").contains("spec.blocks"), "{error:#}");
    statements_are_shown(&cluster)?;
    let ours = KINDS.map(|kind| columns(&cluster, kind));
    // Cilium comes later: its definitions take the place of ours, and find the same objects.
    let names = ["get", "ippools,l2announcement,cn", "-o", "name"];
    let before = cluster.kubectl(&names)?.ok()?;
    cluster.apply_cilium_crds_over_ours()?;
    for (kind, ours) in KINDS.iter().zip(ours) {
        let (ours, ciliums) = (ours?, columns(&cluster, kind)?);
        ensure!(ours == ciliums && ours.len() >= 2, "{kind}: {ours:?}, Cilium: {ciliums:?}");
    }
    ensure!(cluster.kubectl(&names)?.ok()? == before && before.lines().count() == 3, "{before}");
    Ok(())
}

/// What is said of a pool is kept whole, under both versions.
fn statements_are_shown(cluster: &Cluster<'_>) -> Result<()> {
    let said = |kind: &str, status: &str, message: &str| {
        format!(
            r#"{{"type":"cilium.io/{kind}","status":"{status}","reason":"noreason","message":"{message}","observedGeneration":1,"lastTransitionTime":"2026-01-01T00:00:00Z"}}"#
        )
    };
    let conditions = [said("PoolConflict", "False", ""), said("IPsAvailable", "Unknown", "6")];
    let patch = format!(r#"{{"status":{{"conditions":[{}]}}}}"#, conditions.join(","));
    let name = cluster.kubectl(&["get", "ippools", "-o", "name"])?.ok()?;
    let patch = ["patch", name.trim(), "--subresource=status", "--type=merge", "-p", &patch];
    cluster.kubectl(&patch)?.ok()?;
    let shown = cluster.kubectl(&["get", "ippools", "--no-headers"])?.ok()?;
    let words: Vec<_> = shown.split_whitespace().skip(1).take(3).collect();
    ensure!(words == ["false", "False", "6"], "{shown}");
    let old = "ciliumloadbalancerippools.v2alpha1.cilium.io";
    let path = "jsonpath={.items[0].status.conditions[1].lastTransitionTime}";
    let since = cluster.kubectl(&["get", old, "-o", path])?.ok()?;
    ensure!(since == "2026-01-01T00:00:00Z", "{since}");
    Ok(())
}
