use super::Finding;
use super::length::function_name;
use super::tree::{File, Tree};

/// Names that say nothing about what is inside.
const BAG_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc", "mod"];

/// Names of files and of tests.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let rust = tree.files.iter().filter(|file| file.is_rust());
    rust.flat_map(|file| bag_name(file).into_iter().chain(test_names(file))).collect()
}

fn bag_name(file: &File) -> Option<Finding> {
    let is_bag = |part: &str| BAG_NAMES.contains(&part.trim_end_matches(".rs"));
    let part = file.path.split('/').find(|part| is_bag(part))?;
    let what = format!("{part} says nothing: a file is named after its one verb or noun");
    Some(Finding::error(&file.path, 0, what))
}

fn test_names(file: &File) -> Vec<Finding> {
    let mut after_attribute = false;
    let mut findings = Vec::new();
    for (at, line) in file.code.lines().enumerate() {
        if line.trim() == "#[test]" {
            after_attribute = true;
        } else if let Some(name) = function_name(line)
            && std::mem::take(&mut after_attribute)
            && name.starts_with("test_")
        {
            let what = format!("{name}: a test is named as the fact that it shows");
            findings.push(Finding::error(&file.path, at + 1, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, text: &str) -> Vec<Finding> {
        check(&Tree { files: vec![File::new(path, text)] })
    }

    #[test]
    fn bags_are_refused_anywhere_in_the_path() {
        assert_eq!(of("a/src/utils.rs", "").len(), 1);
        assert_eq!(of("a/src/common/x.rs", "").len(), 1);
        assert_eq!(of("a/src/flow/mod.rs", "").len(), 1);
        assert!(of("a/src/commons.rs", "").is_empty());
    }

    #[test]
    fn only_tests_must_not_be_called_test() {
        let text = "#[test]\n#[should_panic]\nfn test_it() {}\nfn test_bench() {}\n#[test]\nfn keeps_it() {}\n";
        let findings = of("a.rs", text);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 3);
    }
}
