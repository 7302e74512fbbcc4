use super::Finding;
use super::code::has_word;
use super::tree::{File, Tree};

/// Marks of unfinished work. In two pieces, so that this file does not find itself.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Paths of one machine.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Words that do not belong into the tree.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().flat_map(of_file).collect()
}

fn of_file(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |line: usize, what: String| findings.push(Finding::error(&file.path, line, what));
    for (at, line) in file.text.lines().enumerate() {
        for word in UNFINISHED.iter().filter(|word| has_word(line, word)) {
            say(at + 1, format!("{word}: finish it, or file an issue"));
        }
        for path in MACHINE_PATHS.iter().filter(|path| line.contains(*path)) {
            say(at + 1, format!("{path} is a path of one machine"));
        }
    }
    let code = if file.is_rust() { file.code.as_str() } else { "" };
    for (at, line) in code.lines().enumerate() {
        if line.trim() == "#[ignore]" {
            say(at + 1, "#[ignore] without a reason".to_owned());
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        of_file(&File::new(path, text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unfinished_work_is_found_in_any_text() {
        let mark = UNFINISHED[0];
        assert_eq!(lines("a.md", &format!("fine\n{mark}: later\n")), [2]);
        assert_eq!(lines("a.rs", &format!("// {mark}\nlet {mark}_LIST = 1;\n")), [1]);
        assert!(lines("Cargo.toml", "todo = \"warn\"\n").is_empty());
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        assert_eq!(lines("a.sh", &format!("cd {}main\n", MACHINE_PATHS[0])), [1]);
    }

    #[test]
    fn an_ignored_test_gives_its_reason() {
        assert_eq!(lines("a.rs", "#[ignore]\nfn a() {}\n#[ignore = \"slow\"]\nfn b() {}\n"), [1]);
    }
}
