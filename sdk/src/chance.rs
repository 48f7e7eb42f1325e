//! Random numbers for keys, traces and jitter: unique, not secret.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 128 random bits. The standard library keys every `RandomState` anew, from a seed that the system gives to
/// each thread; so no further dependency is needed. Not fit for secrets.
pub(crate) fn bits() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    (half() << 64) | half()
}

/// A random number from 0 to 1.
pub(crate) fn fraction() -> f64 {
    // 53 bits are what the number holds.
    (bits() >> 75) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_do_not_repeat() {
        let drawn: BTreeSet<u128> = (0..10_000).map(|_| bits()).collect();
        assert_eq!(drawn.len(), 10_000);
        let high: BTreeSet<u64> = drawn.iter().map(|bits| (bits >> 64) as u64).collect();
        assert_eq!(high.len(), 10_000);
    }

    #[test]
    fn a_fraction_is_between_0_and_1() {
        let mean =
            (0..10_000).map(|_| fraction()).inspect(|f| assert!((0.0..1.0).contains(f))).sum::<f64>() / 1e4;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
