//! Where random numbers come from: the machine, unless this thread simulates one.

use std::cell::Cell;
use std::convert::Infallible;

thread_local! {
    /// The state of the generator that stands in for the machine's randomness, if one does.
    static SEEDED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on, whatever this thread draws follows from the seed. For simulations: nothing that is drawn is secret then.
pub fn seed_this_thread(seed: u64) {
    SEEDED.set(Some(seed));
}

/// Fills the bytes at random.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), getrandom::Error> {
    let Some(mut state) = SEEDED.get() else { return getrandom::fill(bytes) };
    for piece in bytes.chunks_mut(8) {
        let (next, drawn) = split_mix(state);
        state = next;
        piece.copy_from_slice(&drawn.to_le_bytes()[..piece.len()]);
    }
    SEEDED.set(Some(state));
    Ok(())
}

/// A random number.
pub(crate) fn random() -> Result<u64, getrandom::Error> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// `SplitMix64`: the next state, and what is drawn.
const fn split_mix(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state, mixed ^ (mixed >> 31))
}

/// Draws lots for openraft: how long to wait before an election.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lots;

impl rand::TryRng for Lots {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        fill(bytes).expect("the machine gave randomness when this process started");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_thread_draws_the_same_again_and_others_do_not() {
        let drawn = || (0..4).map(|_| random().unwrap()).collect::<Vec<_>>();
        seed_this_thread(7);
        let first = drawn();
        seed_this_thread(7);
        assert_eq!(drawn(), first);
        let elsewhere = std::thread::spawn(move || random().unwrap()).join().unwrap();
        assert!(!first.contains(&elsewhere));
    }
}
