//! One hash for every choice that must be the same on all replicas and after every restart.

/// FNV-1a with a final mix: stable over versions and platforms, which the standard hasher does not promise.
pub(crate) fn hash(salt: &[u8], of: &[u8]) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    for byte in salt.iter().chain(&[0]).chain(of) {
        h = (h ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^ (h >> 33)
}
