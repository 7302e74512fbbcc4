//! The programs in C: from source to the object that is checked in, and back to the question
//! whether the one is made of the other. What is compared is what the kernel and the loader get
//! to see; the rest of an ELF file (order of sections, string tables) is nobody's business.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::packages::CI_LLVM;
use crate::run::{run, shown};

/// Folder of source and object, from the root of the workspace.
const DIR: &str = "bpf";

/// A source, its object, and the section that its programs stand in.
struct Program {
    source: &'static str,
    object: &'static str,
    section: &'static str,
}

/// Steering, the generator of the benchmark, and what spreads packets over queues in tests.
const PROGRAMS: [Program; 3] = [
    Program { source: "steer.bpf.c", object: "steer.bpf.o", section: "xdp.frags" },
    Program { source: "wire.bpf.c", object: "wire.bpf.o", section: "xdp" },
    Program { source: "spread.bpf.c", object: "spread.bpf.o", section: "tc" },
];

/// Sections that the loader reads besides: maps, licence, types. `.BTF.ext` (functions and lines
/// of the program, by type number) follows from them.
const SECTIONS: [&str; 4] = [".maps", "license", ".BTF", ".BTF.ext"];

/// Compiles the sources into the objects that are checked in, with the clang that CI compares
/// with, which [`crate::setup`] has installed.
///
/// # Errors
/// When clang refuses a source.
pub fn build() -> Result<()> {
    for program in &PROGRAMS {
        let object = root().join(DIR).join(program.object);
        compile(program, &object)?;
        println!("{} made by clang {CI_LLVM}", object.display());
    }
    Ok(())
}

/// Compiles the sources anew and compares the outcome with the objects that are checked in.
///
/// # Errors
/// When they differ: says where. When the tools of [`CI_LLVM`] are missing.
pub fn check_equal() -> Result<()> {
    let dir = root().join("target/bpf-check");
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    PROGRAMS.iter().try_for_each(|program| check_one(program, &dir))
}

fn check_one(program: &Program, dir: &Path) -> Result<()> {
    let Program { source, object, section } = program;
    let fresh = dir.join(object);
    compile(program, &fresh)?;
    let kept = root().join(DIR).join(object);
    let mut differences = Vec::new();
    if let Some(line) = first_difference(&disassemble(&kept)?, &disassemble(&fresh)?) {
        differences.push(format!("the program: {line}"));
    }
    for section in [*section].into_iter().chain(SECTIONS) {
        if contents(&kept, section, dir)? != contents(&fresh, section, dir)? {
            differences.push(format!("section {section}"));
        }
    }
    ensure!(
        differences.is_empty(),
        "{DIR}/{object} is not what clang {CI_LLVM} makes of {DIR}/{source}: {}; see {DIR}/README.md",
        differences.join("; ")
    );
    Ok(())
}

/// The paths of the machine stay out of the object: it is compiled in its own folder, and the
/// debug information that names that folder is taken off again. The types (BTF) stay.
fn compile(program: &Program, to: &Path) -> Result<()> {
    let dir = root().join(DIR);
    let mut clang = tool("clang");
    clang.current_dir(&dir).args(["-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", "bpf"]);
    clang.arg(format!("-ffile-prefix-map={}=.", dir.display()));
    // The headers that the kernel keeps apart by architecture: Debian's clang has no default for
    // a target without one.
    clang.arg(format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH));
    clang.args(["-c", program.source, "-o"]).arg(to);
    run(&mut clang)?;
    run(tool("llvm-strip").arg("-g").arg(to))
}

fn disassemble(object: &Path) -> Result<String> {
    let mut objdump = tool("llvm-objdump");
    objdump.args(["-d", "-r", "--no-show-raw-insn"]).arg(object);
    let output = objdump.output().with_context(|| format!("start {}", shown(&objdump)))?;
    ensure!(
        output.status.success(),
        "{} failed: {}",
        shown(&objdump),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    // Up to the first program there is the name of the file.
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(at) = text.find("Disassembly of section") else {
        bail!("{} has no program", object.display())
    };
    Ok(text[at..].to_owned())
}

fn contents(object: &Path, section: &str, dir: &Path) -> Result<Vec<u8>> {
    let dump = dir.join("section");
    let mut objcopy = tool("llvm-objcopy");
    objcopy.arg(format!("--dump-section={section}={}", dump.display()));
    // Without an output of its own, objcopy would write the object anew.
    run(objcopy.arg(object).arg("/dev/null"))?;
    fs::read(&dump).with_context(|| format!("read {}", dump.display()))
}

fn first_difference(kept: &str, fresh: &str) -> Option<String> {
    let (mut kept, mut fresh) = (kept.lines(), fresh.lines());
    loop {
        match (kept.next(), fresh.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                let shown = |line: Option<&str>| line.map_or("(its end)".into(), compact);
                return Some(format!("checked in `{}`, made anew `{}`", shown(a), shown(b)));
            }
        }
    }
}

fn compact(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn tool(name: &str) -> Command {
    Command::new(format!("{name}-{CI_LLVM}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_programs_do_not_differ() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    }

    #[test]
    fn the_first_difference_is_shown() {
        let found = first_difference("a\n  1:   r0 = 1\n", "a\n  1:   r0 = 2\n").unwrap();
        assert_eq!(found, "checked in `1: r0 = 1`, made anew `1: r0 = 2`");
        let found = first_difference("a\n", "a\nb\n").unwrap();
        assert_eq!(found, "checked in `(its end)`, made anew `b`");
    }
}
