use std::io::{self, Write};

const CHUNK: usize = 64 << 10;

/// Writes `length` bytes of the stream that belongs to this length: the same on every machine,
/// different for every length, and nothing in it repeats.
///
/// # Errors
/// When `out` does not take them.
pub fn write(length: u64, out: &mut impl Write) -> io::Result<()> {
    let mut state = length ^ 0x9e37_79b9_7f4a_7c15;
    let mut chunk = vec![0_u8; CHUNK];
    let mut left = length;
    while left > 0 {
        for word in chunk.chunks_exact_mut(8) {
            word.copy_from_slice(&next(&mut state).to_le_bytes());
        }
        let take = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        out.write_all(&chunk[..take])?;
        left -= take as u64;
    }
    Ok(())
}

/// splitmix64 (Steele, Lea, Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(length: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(length, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_stream_has_its_length_and_is_the_same_every_time() {
        for length in [0, 1, 7, 8, CHUNK as u64, CHUNK as u64 + 1, 200_001] {
            assert_eq!(stream(length).len() as u64, length);
        }
        assert_eq!(stream(100_000), stream(100_000));
        assert_ne!(stream(1_000)[..100], stream(1_001)[..100]);
    }

    #[test]
    fn a_part_does_not_repeat() {
        let bytes = stream(4 * CHUNK as u64);
        let parts: std::collections::HashSet<_> = bytes.chunks_exact(16).collect();
        assert_eq!(parts.len(), bytes.len() / 16);
    }
}
