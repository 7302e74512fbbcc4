use super::Finding;
use super::tree::{File, Tree};

/// A file this long is worth a look.
const FILE_REVIEW: usize = 350;
/// No file is longer; in one that is, there is a second subject.
const FILE_STOP: usize = 500;
/// No function is longer.
const FUNCTION_STOP: usize = 70;

/// File and function lengths.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().filter(|file| file.is_rust()).flat_map(of_file).collect()
}

fn of_file(file: &File) -> Vec<Finding> {
    let mut findings = functions(file);
    let (all, production) = (file.text.lines().count(), file.production_lines());
    if all > FILE_STOP {
        let what = format!("{all} lines, the stop is {FILE_STOP}: find the second subject in it");
        findings.push(Finding::error(&file.path, 0, what));
    } else if production > FILE_REVIEW && !file.is_test() {
        let what = format!("{production} lines of production code: review at {FILE_REVIEW}");
        findings.push(Finding::warning(&file.path, 0, what));
    }
    findings
}

/// rustfmt closes a function at the indentation at which it opens.
fn functions(file: &File) -> Vec<Finding> {
    let lines: Vec<&str> = file.code.lines().collect();
    let mut findings = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let closes = |later: &&str| {
            let own = later.strip_prefix(indent);
            own.is_some_and(|own| {
                own.starts_with('}') || own.starts_with(") ") && own.ends_with(';')
            })
        };
        let ends_here = line.ends_with(';') || line.ends_with('}');
        let length = match lines[at + 1..].iter().position(closes) {
            Some(more) if !ends_here => more + 2,
            _ => 1,
        };
        if length > FUNCTION_STOP {
            let what = format!("fn {name} has {length} lines, the stop is {FUNCTION_STOP}");
            findings.push(Finding::error(&file.path, at + 1, what));
        }
    }
    findings
}

/// The name of the function that a line of code opens.
pub fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let qualifier = |word: &str| {
        matches!(word, "const" | "async" | "unsafe" | "extern" | "default" | "pub")
            || word.starts_with("pub(")
            || word.ends_with(')')
    };
    if !before.split_whitespace().all(qualifier) {
        return None;
    }
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (end > 0).then(|| &after[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File::new("a.rs", text)
    }

    fn function(lines: usize) -> String {
        format!(
            "impl A {{\n    pub(crate) fn long(&self) {{\n{}    }}\n}}\n",
            "        x();\n".repeat(lines - 2)
        )
    }

    #[test]
    fn a_function_may_have_seventy_lines() {
        assert!(of_file(&file(&function(70))).is_empty());
        let findings = of_file(&file(&function(71)));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains("fn long has 71 lines"), "{}", findings[0]);
        assert_eq!(findings[0].line, 2);
    }

    #[test]
    fn inner_blocks_do_not_close_a_function() {
        let text = "fn a() {\n    if b {\n    }\n".to_owned() + &"    c();\n".repeat(70) + "}\n";
        assert_eq!(of_file(&file(&text)).len(), 1);
    }

    #[test]
    fn declarations_and_one_liners_are_short() {
        let text = "trait T {\n    fn a(&self);\n    fn b(&self) {}\n".to_owned()
            + &"    // c\n".repeat(100)
            + "}\n";
        assert!(of_file(&file(&text)).is_empty());
    }

    #[test]
    fn tests_at_the_end_are_no_production_code() {
        let tests = "#[cfg(test)]\nmod tests {\n".to_owned() + &"// c\n".repeat(400) + "}\n";
        assert!(of_file(&file(&tests)).is_empty());
        assert!(of_file(&file(&"// c\n".repeat(351)))[0].warning);
        assert!(!of_file(&file(&"// c\n".repeat(501)))[0].warning);
    }

    #[test]
    fn functions_are_known_by_their_qualifiers() {
        assert_eq!(function_name("    pub const unsafe fn go<T>(x: T) {"), Some("go"));
        assert_eq!(function_name("let f: fn (u8) = g;"), None);
        assert_eq!(function_name("    run: impl fn go()"), None);
    }
}
