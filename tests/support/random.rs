//! Numbers that follow from a seed, so that a failure can be repeated.

/// A small generator (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Follows from the seed of this run, and says it.
    pub fn seeded(name: &str) -> Self {
        let seed = seed();
        println!("{name}: SEALIFT_TEST_SEED={seed}");
        Self(seed)
    }

    /// Follows from this seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((z ^ (z >> 31)) % u64::from(bound)).unwrap_or(0)
    }
}

/// The seed of this run: `SEALIFT_TEST_SEED`, or a fixed one.
pub fn seed() -> u64 {
    std::env::var("SEALIFT_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_122)
}

/// How many seeds a simulation runs: `SEALIFT_TEST_SEEDS`, or this.
pub fn seeds(usual: u32) -> u32 {
    std::env::var("SEALIFT_TEST_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// How many races of one kind are run: `SEALIFT_TEST_RACES`, or this.
pub fn races(usual: u32) -> u32 {
    std::env::var("SEALIFT_TEST_RACES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// How often to do what a test does again and again: `SEALIFT_TEST_KILLS`, or this.
pub fn times(usual: u32) -> u32 {
    std::env::var("SEALIFT_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
