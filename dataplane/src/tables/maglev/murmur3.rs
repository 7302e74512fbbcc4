/// MurmurHash3, x64 variant with 128 bits of output and a 32-bit seed (Austin Appleby, public
/// domain). Our own: the crates that offer this variant are small ports without a release for
/// years, and this is proven by the author's own verification value.
#[must_use]
pub(super) fn murmur3_x64_128(data: &[u8], seed: u32) -> [u64; 2] {
    let [mut h1, mut h2] = [u64::from(seed); 2];
    let (blocks, tail) = data.as_chunks::<16>();
    for block in blocks {
        let [k1, k2] = halves(block);
        h1 = (h1 ^ scramble_low(k1)).rotate_left(27).wrapping_add(h2);
        h1 = h1.wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 = (h2 ^ scramble_high(k2)).rotate_left(31).wrapping_add(h1);
        h2 = h2.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    // A missing byte counts as zero, and zero scrambles to zero: an absent half changes nothing.
    let mut last = [0; 16];
    last[..tail.len()].copy_from_slice(tail);
    let [k1, k2] = halves(&last);
    h1 ^= scramble_low(k1) ^ data.len() as u64;
    h2 ^= scramble_high(k2) ^ data.len() as u64;

    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = avalanche(h1);
    h2 = avalanche(h2);
    h1 = h1.wrapping_add(h2);
    [h1, h2.wrapping_add(h1)]
}

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

fn halves(block: &[u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(*block);
    [both as u64, (both >> 64) as u64]
}

fn scramble_low(k1: u64) -> u64 {
    k1.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn scramble_high(k2: u64) -> u64 {
    k2.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn avalanche(mut k: u64) -> u64 {
    k = (k ^ k >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ k >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ k >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_hashes() {
        let fox = "The quick brown fox jumps over the lazy dog";
        for (seed, text, expected) in [
            (0, "", [0, 0]),
            (0, "hello", [0xcbd8_a7b3_41bd_9b02, 0x5b1e_906a_48ae_1d19]),
            (0, "hello, world", [0x342f_ac62_3a5e_bc8e, 0x4cdc_bc07_9642_414d]),
            (0, fox, [0xe34b_bc7b_bc07_1b6c, 0x7a43_3ca9_c49a_9347]),
            (1, "hello", [0xa78d_dff5_adae_8d10, 0x1289_00ef_2090_0135]),
        ] {
            assert_eq!(murmur3_x64_128(text.as_bytes(), seed), expected, "{text:?}, seed {seed}");
        }
    }

    /// The procedure of SMHasher (`VerificationTest`): every length from 0 to 255, each with a
    /// seed of its own, and the hash of all those hashes.
    #[test]
    fn gives_the_verification_value_of_its_author() {
        let key: Vec<u8> = (0..=255).collect();
        let hashes: Vec<u8> = (0..256)
            .flat_map(|len| murmur3_x64_128(&key[..len], 256 - len as u32))
            .flat_map(u64::to_le_bytes)
            .collect();
        let [low, _] = murmur3_x64_128(&hashes, 0);
        assert_eq!(low as u32, 0x6384_ba69);
    }
}
