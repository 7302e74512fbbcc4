use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use nix::libc;

/// No configuration is larger: a thousand services of a thousand backends are not.
const BYTES_MAX: u64 = 64 << 20;

/// The text of a configuration file. Only regular files of a bounded size are read: a FIFO would hold
/// up its reader for ever, and a device may never end.
///
/// # Errors
/// With the path and the reason.
pub fn read(path: &Path) -> Result<String> {
    read_up_to(path, BYTES_MAX).with_context(|| format!("cannot read {}", path.display()))
}

fn read_up_to(path: &Path, limit: u64) -> Result<String> {
    // Without it, opening a FIFO waits for a writer.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        bail!("it is no regular file");
    }
    let mut text = String::new();
    // Not by the size that it has now: it may grow meanwhile.
    file.take(limit + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        bail!("it is larger than {limit} bytes");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn why(path: &Path) -> String {
        format!("{:#}", read(path).unwrap_err())
    }

    #[test]
    fn what_never_ends_is_not_read() {
        assert_eq!(why(Path::new("/dev/zero")), "cannot read /dev/zero: it is no regular file");
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("gw.toml");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        assert!(
            why(&fifo).ends_with("gw.toml: it is no regular file"),
            "nobody writes, yet it ends"
        );
        assert!(why(dir.path()).ends_with(": it is no regular file"));
    }

    #[test]
    fn a_file_has_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gw.toml");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_up_to(&path, 5).unwrap(), "12345");
        let error = read_up_to(&path, 4).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 4 bytes");
    }
}
