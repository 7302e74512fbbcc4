use anyhow::{Context as _, Result};
use dataplane::mem::Fixed;
use nix::sys::prctl::{get_thp_disable, set_thp_disable};

use super::reserved::hold_back;

/// While this is held, this process gets small pages only, whatever it asks for. It keeps those
/// that it has.
#[must_use = "dropping the guard allows huge pages again"]
pub struct SmallPages {
    was_disabled: bool,
    /// The kernel's switch does not reach the reserved ones.
    _held_back: Fixed<u8>,
}

impl SmallPages {
    /// From here on.
    ///
    /// # Errors
    /// When the kernel knows no such switch.
    pub fn begin() -> Result<Self> {
        let was_disabled = get_thp_disable().context("ask whether huge pages are allowed")?;
        let held_back = hold_back();
        set_thp_disable(true).context("do without huge pages")?;
        Ok(Self { was_disabled, _held_back: held_back })
    }
}

impl Drop for SmallPages {
    fn drop(&mut self) {
        // It worked with the same words before.
        let _ = set_thp_disable(self.was_disabled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::kibibytes;
    use dataplane::mem::HUGE_PAGE;

    /// KiB in huge pages of the mapping that `place` lies in.
    fn huge_at(place: usize) -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let range = |line: &str| {
            let (from, to) = line.split(' ').next()?.split_once('-')?;
            Some(usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?)
        };
        let mut lines = smaps.lines();
        lines.find(|line| range(line).is_some_and(|range| range.contains(&place))).unwrap();
        let own: Vec<_> = lines.take_while(|line| range(line).is_none()).collect();
        ["AnonHugePages", "Private_Hugetlb"]
            .map(|name| kibibytes(&own.join("\n"), name))
            .iter()
            .sum()
    }

    #[test]
    fn large_tables_lie_in_small_pages_until_the_guard_goes() {
        let disabled = get_thp_disable().unwrap();
        let guard = SmallPages::begin().unwrap();
        let table = Fixed::<u8>::zeroed(8 * HUGE_PAGE);
        assert_eq!(huge_at(table.as_ptr() as usize), 0);
        assert_eq!(get_thp_disable(), Ok(true));
        drop(guard);
        assert_eq!(get_thp_disable(), Ok(disabled));
    }
}
