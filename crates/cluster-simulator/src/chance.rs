//! Where a run's lots come from: streams that all follow from its seed, one for each part, so that a part that draws more does
//! not change the others.

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;
use std::time::Duration;

/// A stream of lots.
#[derive(Debug)]
pub(crate) struct Chance(Mutex<ChaCha8Rng>);

impl Chance {
    /// The stream of this number of a run.
    pub(crate) fn of(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(Mutex::new(rng))
    }

    /// A number of a range that is not empty.
    pub(crate) fn within(&self, range: Range<u64>) -> u64 {
        self.0.lock().random_range(range)
    }

    /// A place in a list of this length.
    pub(crate) fn place(&self, length: usize) -> usize {
        self.0.lock().random_range(0..length)
    }

    /// Whether something happens that does so many times in a thousand.
    pub(crate) fn per_mille(&self, times: u64) -> bool {
        self.within(0..1_000) < times
    }

    /// A length of time between two, in microseconds.
    pub(crate) fn micros(&self, range: Range<u64>) -> Duration {
        Duration::from_micros(self.within(range))
    }
}
