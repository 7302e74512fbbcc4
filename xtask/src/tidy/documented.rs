use super::Finding;
use super::tree::{File, Tree};

const DROP_REASONS: &str = "dataplane/src/drop_reason.rs";
const DROP_DOCS: &str = "docs/drop-reasons.md";

/// Modules say what they are; drop reasons are explained to whoever is on call.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let rust = tree.files.iter().filter(|file| file.is_rust());
    let mut findings: Vec<_> = rust.flat_map(|file| modules(tree, file)).collect();
    findings.extend(drop_reasons(tree));
    findings
}

/// A module is described where it is declared, or at the head of its own file.
fn modules(tree: &Tree, file: &File) -> Vec<Finding> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut findings = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = module_name(line) else { continue };
        let attributes = lines[..at].iter().rev().take_while(|before| before.starts_with("#["));
        let own_path = attributes.clone().find_map(|line| path_attribute(line));
        let before = lines[..at - attributes.count()].last();
        let here = before.is_some_and(|before| before.starts_with("///"));
        if name != "tests" && !here && !own_head(tree, file, own_path.unwrap_or(name)) {
            let what = format!("mod {name}: say in one line what it is, here or at its head");
            findings.push(Finding::error(&file.path, at + 1, what));
        }
    }
    findings
}

/// The name in `mod name;` or `pub mod name;`.
fn module_name(line: &str) -> Option<&str> {
    let (before, after) = line.strip_suffix(';')?.split_once("mod ")?;
    let declares = before.is_empty() || before.starts_with("pub");
    (declares && after.chars().all(|c| c.is_alphanumeric() || c == '_')).then_some(after)
}

/// The path in `#[path = "steering/cases.rs"]`, without its ending.
fn path_attribute(line: &str) -> Option<&str> {
    line.strip_prefix("#[path = \"")?.strip_suffix(".rs\"]")
}

fn own_head(tree: &Tree, declared_in: &File, name: &str) -> bool {
    let stem = declared_in.path.trim_end_matches(".rs");
    let (directory, own) = stem.rsplit_once('/').unwrap_or(("", stem));
    // A crate's root, or a path given by hand, starts from the directory of the file itself.
    let is_root = matches!(own, "lib" | "main") || directory.ends_with("/tests");
    let directory = if is_root || name.contains('/') { directory } else { stem };
    let file = tree.file(&format!("{directory}/{name}.rs"));
    file.is_some_and(|file| file.text.starts_with("//!"))
}

fn drop_reasons(tree: &Tree) -> Vec<Finding> {
    let Some(source) = tree.file(DROP_REASONS) else { return Vec::new() };
    let docs = tree.file(DROP_DOCS).map(|file| file.text.as_str()).unwrap_or_default();
    let undocumented = |(at, line): (usize, &str)| {
        let name = reason_name(line)?;
        let what = format!("{name} is not explained in {DROP_DOCS}");
        (!docs.contains(&format!("`{name}`"))).then(|| Finding::error(&source.path, at + 1, what))
    };
    source.text.lines().enumerate().filter_map(undocumented).collect()
}

/// The name in `    Variant = "name",`.
fn reason_name(line: &str) -> Option<&str> {
    let (variant, name) = line.trim().strip_suffix("\",")?.split_once(" = \"")?;
    variant.chars().all(char::is_alphanumeric).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(files: &[(&str, &str)]) -> Vec<usize> {
        let tree = Tree { files: files.iter().map(|(path, text)| File::new(path, text)).collect() };
        check(&tree).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_module_is_described_where_declared_or_at_its_head() {
        let lib =
            "/// One.\npub mod one;\nmod two;\n/// Three.\n#[cfg(test)]\nmod three;\nmod four;\n";
        let files =
            [("a/src/lib.rs", lib), ("a/src/two.rs", "//! Two.\n"), ("a/src/four.rs", "\n")];
        assert_eq!(lines(&files), [7]);
    }

    #[test]
    fn a_module_with_a_path_of_its_own_is_found_there() {
        let root = "#[path = \"steering/cases.rs\"]\nmod cases;\n#[path = \"x/y.rs\"]\nmod y;\n";
        let files = [("a/tests/steering.rs", root), ("a/tests/steering/cases.rs", "//! Cases.\n")];
        assert_eq!(lines(&files), [4]);
    }

    #[test]
    fn a_drop_reason_without_a_word_in_the_documents_is_found() {
        let source = "    /// Full.\n    TxFull = \"tx_full\",\n    NoFrame = \"no_frame\",\n";
        let docs = (DROP_DOCS, "| `tx_full` | the ring is full |\n");
        assert_eq!(lines(&[(DROP_REASONS, source), docs]), [3]);
    }
}
