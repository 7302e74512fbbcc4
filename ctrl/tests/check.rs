//! What `portreeve check` says: of every broken fixture exactly what stands beside it, of every
//! example that it is fine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use portreeve::problem::{Problem, render_all};
use portreeve::source::toml::{keys, load};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Messages name the file as the operator did, so a fixture is named without its directory.
fn problems(path: &Path) -> (String, Vec<Problem>) {
    let text = fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let problems = load(name, &text).err();
    (text, problems.unwrap_or_else(|| panic!("{name} is fine")))
}

fn broken() -> Vec<PathBuf> {
    let entries = fs::read_dir(here("tests/fixtures/broken")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

/// Set `BLESS=1` to write what is said now; read the change before it is committed.
#[test]
fn every_broken_file_gives_the_text_beside_it() {
    let files = broken();
    assert!(files.len() >= 20, "{} broken files", files.len());
    let mut texts = HashSet::new();
    for path in &files {
        let (source, problems) = problems(path);
        let said = render_all(&problems, Some(&source));
        let beside = path.with_extension("stderr");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&beside, &said).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(said, expected, "{}", path.display());
        let first = problems[0].what.clone();
        assert!(texts.insert(first), "{} says what another one says", path.display());
    }
}

#[test]
fn every_message_has_a_place_a_reason_and_a_way_out() {
    for path in broken() {
        for problem in problems(&path).1 {
            assert!(problem.place.is_some(), "{problem}");
            assert!(problem.help.is_some(), "{problem}");
        }
    }
}

#[test]
fn some_files_have_several_mistakes_and_all_are_named_in_their_order() {
    let several = broken().into_iter().map(|path| problems(&path).1).filter(|all| all.len() > 2);
    let mut files = 0;
    for problems in several {
        files += 1;
        assert!(problems.is_sorted_by_key(|problem| problem.place.clone()));
    }
    assert!(files >= 3, "{files}");
}

#[test]
fn every_example_is_fine() {
    for name in ["minimal", "full", "demo"] {
        let path = here(&format!("../configs/{name}.toml"));
        let text = fs::read_to_string(&path).unwrap();
        let loaded =
            load(name, &text).unwrap_or_else(|all| panic!("{}", render_all(&all, Some(&text))));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }
}

#[test]
fn the_full_example_has_every_key_that_is_known() {
    let text = fs::read_to_string(here("../configs/full.toml")).unwrap();
    let code: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let code = code.join("\n");
    let written = |key: &str| {
        let at_line = code.lines().any(|line| line.trim_start().starts_with(&format!("{key} = ")));
        let as_section = code.contains(&format!(".{key}]"));
        let in_table = [format!("{{ {key} = "), format!(", {key} = ")];
        at_line || as_section || in_table.iter().any(|written| code.contains(written))
    };
    for (section, known) in keys::ALL {
        for key in *known {
            assert!(written(key), "{key} of {section}");
        }
        let head = section.rsplit(' ').next().unwrap();
        assert!(code.contains(head), "{section}");
    }
    for section in keys::TOP {
        assert!(code.contains(&format!("[{section}]")), "{section}");
    }
}

#[test]
fn the_full_example_says_the_defaults_where_it_says_so() {
    let text = fs::read_to_string(here("../configs/full.toml")).unwrap();
    let full = load("full.toml", &text).unwrap().desired;
    let default = portreeve::desired::Desired::default();
    assert_eq!(full.timeouts, default.timeouts);
    assert_eq!(full.maglev, default.maglev);
    assert_eq!(full.snat.ports, default.snat.ports);
    assert_eq!(full.snat.shared_ports, default.snat.shared_ports);
    assert_eq!((full.worker.flows, full.worker.ring, full.worker.frames), {
        let worker = default.worker;
        (worker.flows, worker.ring, worker.frames)
    });
    assert_eq!(
        (full.gateway.api, full.gateway.pin_dir),
        (default.gateway.api, default.gateway.pin_dir)
    );
}

#[test]
fn a_thousand_broken_services_give_a_thousand_errors() {
    let mut text = "[[port]]\nname = \"ens5\"\n".to_owned();
    for n in 0..1_000 {
        text += &format!(
            "[[service]]\nname = \"s{n}\"\nvip = \"nonsense\"\nports = [{{ port = 80 }}]\n"
        );
    }
    assert_eq!(load("many.toml", &text).unwrap_err().len(), 1_000);
}
