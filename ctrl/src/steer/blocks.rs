use dataplane::addr::L4Port;

/// Cuts the range `first..=last` into the fewest aligned blocks of a power of two of ports, which
/// is what a longest-prefix map holds: (first port of the block, bits that its ports share).
pub(super) fn blocks(first: L4Port, last: L4Port) -> impl Iterator<Item = (L4Port, u32)> {
    let mut next = u32::from(first);
    let end = u32::from(last) + 1;
    std::iter::from_fn(move || {
        if next >= end {
            return None;
        }
        let aligned = next.trailing_zeros().min(u16::BITS);
        let fitting = (end - next).ilog2();
        let size_bits = aligned.min(fitting);
        let block = (next as u16, u16::BITS - size_bits);
        next += 1 << size_bits;
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(first: u16, last: u16) -> Vec<u32> {
        blocks(first, last)
            .flat_map(|(port, bits)| u32::from(port)..u32::from(port) + (1 << (16 - bits)))
            .collect()
    }

    #[test]
    fn blocks_cover_exactly_the_range() {
        for (first, last) in [
            (80, 80),
            (0, 0),
            (65_535, 65_535),
            (61_000, 65_535),
            (1, 65_534),
            (0, 65_535),
            (30_000, 32_767),
        ] {
            let expected: Vec<u32> = (u32::from(first)..=u32::from(last)).collect();
            assert_eq!(ports(first, last), expected, "{first}-{last}");
        }
    }

    #[test]
    fn blocks_are_aligned_and_few() {
        for (first, last, most) in
            [(80, 80, 1), (0, 65_535, 1), (1, 65_534, 30), (61_000, 65_535, 8)]
        {
            let found: Vec<_> = blocks(first, last).collect();
            assert!(found.len() <= most, "{first}-{last}: {found:?}");
            for (port, bits) in found {
                assert_eq!(u32::from(port) % (1 << (16 - bits)), 0, "{port}/{bits}");
            }
        }
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_empty() {
        assert_eq!(blocks(81, 80).count(), 0);
    }
}
