//! Makes a failing plan small: leaves out parts of its lists as long as the same promise is broken.

use std::ops::Range;

/// A plan of which parts can be left out.
pub trait Listed: Clone {
    /// How long each of its lists is. The first is made small first.
    fn lengths(&self) -> Vec<usize>;

    /// Leaves out a part of one of them.
    fn drop_part(&mut self, list: usize, part: Range<usize>);
}

/// What became of the attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shrunk<P> {
    /// Nothing can be left out by itself.
    Smallest(P),
    /// There was no more time: something may be in it that has nothing to do with the matter.
    CutShort(P),
}

impl<P> Shrunk<P> {
    /// The plan.
    pub const fn plan(&self) -> &P {
        match self {
            Self::Smallest(plan) | Self::CutShort(plan) => plan,
        }
    }
}

/// Leaves out of each list half, then ever smaller parts, until nothing can be left out or nobody has `time` for another try.
/// Source: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002).
pub(crate) fn shrink<P: Listed>(
    plan: P,
    mut breaks: impl FnMut(&P) -> bool,
    mut has_time: impl FnMut() -> bool,
) -> Shrunk<P> {
    let mut smallest = plan;
    loop {
        let before = smallest.lengths();
        for list in 0..before.len() {
            let mut size = smallest.lengths()[list].div_ceil(2);
            while size > 0 {
                if !leave_out(&mut smallest, (list, size), (&mut breaks, &mut has_time)) {
                    return Shrunk::CutShort(smallest);
                }
                size = if size == 1 { 0 } else { size.div_ceil(2) };
            }
        }
        if smallest.lengths() == before {
            return Shrunk::Smallest(smallest);
        }
    }
}

/// Tries each part of this size. Says whether there was time for all of them.
fn leave_out<P: Listed>(
    plan: &mut P,
    (list, size): (usize, usize),
    (breaks, has_time): (&mut impl FnMut(&P) -> bool, &mut impl FnMut() -> bool),
) -> bool {
    let mut from = 0;
    while from < plan.lengths()[list] {
        if !has_time() {
            return false;
        }
        let to = (from + size).min(plan.lengths()[list]);
        let mut smaller = plan.clone();
        smaller.drop_part(list, from..to);
        if breaks(&smaller) {
            *plan = smaller;
        } else {
            from = to;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Numbers(Vec<u32>, Vec<u32>);

    impl Listed for Numbers {
        fn lengths(&self) -> Vec<usize> {
            vec![self.0.len(), self.1.len()]
        }

        fn drop_part(&mut self, list: usize, part: Range<usize>) {
            [&mut self.0, &mut self.1][list].drain(part);
        }
    }

    fn many() -> Numbers {
        Numbers((0..50).collect(), (0..9).collect())
    }

    fn needs_three(plan: &Numbers) -> bool {
        plan.0.contains(&17) && plan.0.contains(&40) && plan.1.contains(&3)
    }

    #[test]
    fn only_what_it_takes_is_left() {
        let shrunk = shrink(many(), needs_three, || true);
        assert_eq!(shrunk, Shrunk::Smallest(Numbers(vec![17, 40], vec![3])));
    }

    #[test]
    fn without_time_it_ends_with_a_plan_that_still_breaks_and_says_so() {
        let mut tries = 0;
        let shrunk = shrink(many(), needs_three, || {
            tries += 1;
            tries <= 3
        });
        let Shrunk::CutShort(plan) = shrunk else { panic!("{shrunk:?}") };
        assert!(needs_three(&plan) && plan.0.len() < 50, "{plan:?}");
        assert_eq!(shrink(many(), needs_three, || false), Shrunk::CutShort(many()));
    }
}
