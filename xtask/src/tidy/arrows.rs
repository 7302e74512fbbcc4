use super::Finding;
use super::tree::{File, Tree};

/// Our crates as manifests name them.
const OURS: &[&str] = &[
    "dataplane",
    "portreeve",
    "portreeve-bpf-abi",
    "portreeve-dataplane",
    "portreeve-lab",
    "portreeve-tests",
    "portreeve-bench",
];

/// What each crate may use of ours: `ctrl -> dataplane`, `ctrl -> bpf/abi`, `bench, tests -> both`.
const ARROWS: &[(&str, &[&str])] = &[
    ("dataplane/", &[]),
    ("bpf/abi/", &[]),
    ("ctrl/", &["dataplane", "portreeve-bpf-abi"]),
    ("xtask/", &[]),
];

/// What the packet path does without: no runtime, no configuration, no cluster.
const NOT_IN_DATAPLANE: &[&str] = &["tokio", "serde", "serde_json", "toml", "kube", "k8s-openapi"];

/// Dependencies between crates, and what the data path must not know.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (prefix, allowed) in ARROWS {
        let Some(manifest) = tree.file(&format!("{prefix}Cargo.toml")) else { continue };
        for (line, name) in dependencies(manifest) {
            if OURS.contains(&name) && !allowed.contains(&name) {
                let what = format!("an arrow to {name}: the design has none; add a decision note");
                findings.push(Finding::error(&manifest.path, line, what));
            }
            if *prefix == "dataplane/" && NOT_IN_DATAPLANE.contains(&name) {
                let what = format!("{name} has no place in the packet path");
                findings.push(Finding::error(&manifest.path, line, what));
            }
        }
    }
    findings.extend(map_names(tree));
    findings
}

/// Names in the sections of a manifest that end up in the product (tests may use what they like).
fn dependencies(manifest: &File) -> Vec<(usize, &str)> {
    let mut counts = false;
    let mut names = Vec::new();
    for (at, line) in manifest.text.lines().enumerate() {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            counts = section == "dependencies"
                || section.ends_with(".dependencies") && section.starts_with("target.");
        } else if counts && let Some((key, _)) = line.split_once('=') {
            let name = key.trim().split('.').next().unwrap_or_default();
            names.push((at + 1, name.trim_matches('"')));
        }
    }
    names
}

/// The data path knows no map of the steering program: control alone writes them.
fn map_names(tree: &Tree) -> Vec<Finding> {
    let names: Vec<&str> = tree
        .below("bpf/")
        .filter(|f| f.path.ends_with(".bpf.c"))
        .flat_map(|f| maps(&f.text))
        .collect();
    let mut findings = Vec::new();
    for file in tree.below("dataplane/src/") {
        for (at, line) in file.text.lines().enumerate() {
            for name in names.iter().filter(|name| line.contains(&format!("\"{name}\""))) {
                let what = format!("the name of a steering map, {name}: control alone knows maps");
                findings.push(Finding::error(&file.path, at + 1, what));
            }
        }
    }
    findings
}

/// Names of BTF maps: `} name SEC(".maps");`
fn maps(source: &str) -> Vec<&str> {
    let name = |line: &'_ str| line.strip_suffix("SEC(\".maps\");").map(str::len);
    source
        .lines()
        .filter_map(|line| {
            Some(line[..name(line.trim_end())?].trim().trim_start_matches('}').trim())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| File::new(path, text)).collect() }
    }

    #[test]
    fn an_arrow_that_the_design_lacks_is_found() {
        let manifest = "[dependencies]\nlibc.workspace = true\nportreeve-bpf-abi.workspace = true\n\
                        [dev-dependencies]\nserde.workspace = true\n[target.'cfg(loom)'.dependencies]\n\
                        tokio = { version = \"1\" }\n";
        let findings = check(&tree(&[("dataplane/Cargo.toml", manifest)]));
        let lines: Vec<_> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [3, 7]);
    }

    #[test]
    fn the_arrows_of_the_design_are_fine() {
        let manifest =
            "[dependencies]\ndataplane.workspace = true\nportreeve-bpf-abi.workspace = true\n";
        assert!(check(&tree(&[("ctrl/Cargo.toml", manifest)])).is_empty());
    }

    #[test]
    fn a_map_name_in_the_data_path_is_found() {
        let c = "struct {\n} owned SEC(\".maps\");\n\nstruct {\n} sockets SEC(\".maps\");\n";
        let rust = "fn a() { b(\"sockets\") }\nfn owned() {}\n";
        let findings = check(&tree(&[("bpf/steer.bpf.c", c), ("dataplane/src/a.rs", rust)]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 1);
    }
}
