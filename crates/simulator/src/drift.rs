//! A node's own clock, which may run too fast or too slow.

/// By how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drift {
    /// So many parts in a million too fast.
    pub(crate) ppm: i64,
}

const MILLION: u64 = 1_000_000;

impl Drift {
    const fn rate(self) -> u64 {
        MILLION.saturating_add_signed(self.ppm)
    }

    /// What the clock shows at an instant of true time. In microseconds, as everything here.
    pub(crate) const fn shows_at(self, now: u64) -> u64 {
        scaled(now, self.rate(), MILLION)
    }

    /// The first instant of true time at which the clock shows so much.
    pub(crate) const fn shows(self, shown: u64) -> u64 {
        let rounded_down = scaled(shown, MILLION, self.rate());
        if self.shows_at(rounded_down) < shown { rounded_down.saturating_add(1) } else { rounded_down }
    }
}

const fn scaled(time: u64, by: u64, of: u64) -> u64 {
    let scaled = time as u128 * by as u128 / of as u128;
    if scaled > u64::MAX as u128 { u64::MAX } else { scaled as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_waited_for_shows_what_was_waited_for() {
        for ppm in [-450_000, -1_000, 0, 1, 450_000] {
            let drift = Drift { ppm };
            for shown in [0, 1, 999_999, 3_600_000_001] {
                let at = drift.shows(shown);
                assert!(drift.shows_at(at) >= shown, "{ppm}: {shown} at {at}");
                assert!(at == 0 || drift.shows_at(at - 1) < shown, "{ppm}: {shown} before {at}");
            }
        }
    }
}
