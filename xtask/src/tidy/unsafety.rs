use super::Finding;
use super::code::has_word;
use super::tree::Tree;

/// Where `unsafe` stands, and why there.
const ALLOWED: &[(&str, &str)] = &[
    ("dataplane/src/xsk/", "the rings and the memory that the kernel shares with us"),
    ("dataplane/src/xsk.rs", "the root of that module"),
    ("dataplane/src/mem.rs", "huge pages, prefetch and comparing lanes"),
    ("bench/src/allocations.rs", "an allocator that counts is an unsafe trait"),
];

/// `unsafe` outside the list.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rust = tree.files.iter().filter(|file| file.is_rust());
    for file in rust.filter(|file| !is_allowed(&file.path)) {
        for (at, line) in file.code.lines().enumerate() {
            if has_word(line, "unsafe") {
                let what = "unsafe outside the places that tidy names, each with its reason";
                findings.push(Finding::error(&file.path, at + 1, what));
            }
        }
    }
    findings
}

fn is_allowed(path: &str) -> bool {
    ALLOWED.iter().any(|(place, _reason)| path.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::super::tree::File;
    use super::*;

    #[test]
    fn unsafe_is_found_outside_its_places_only() {
        let text = "// unsafe\nfn a() { unsafe { b() } }\n#![forbid(unsafe_code)]\n";
        let at = |path| check(&Tree { files: vec![File::new(path, text)] });
        assert_eq!(at("ctrl/src/a.rs").len(), 1);
        assert_eq!(at("ctrl/src/a.rs")[0].line, 2);
        assert!(at("dataplane/src/xsk/umem.rs").is_empty());
    }
}
