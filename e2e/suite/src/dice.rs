//! Chance that can be repeated: a seed draws the same, everywhere and for ever.

/// Splitmix64.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 on, below this.
    pub fn number(&mut self, below: u32) -> u32 {
        u32::try_from(self.next() % u64::from(below)).expect("a remainder is smaller than its divisor")
    }

    /// The same, for a place in a list.
    pub fn below(&mut self, below: usize) -> usize {
        self.number(u32::try_from(below).expect("lists here are short")) as usize
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.number(100) < percent
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
