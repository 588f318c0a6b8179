//! A cluster in miniature, held against the promise: nodes with clocks of their own that drift and pause, leaders that
//! do not know that they were deposed, messages that are late or lost, and a key that is revoked.
//!
//! The judge reads no lease: it knows real time, and compares each admission with the commit and the return of the
//! revocation. Every mistake that the arithmetic is there to prevent must be found by it.

mod world;

use world::{Findings, Mistake, World};

const SEEDS: u64 = 300;

fn run(mistake: Mistake) -> Findings {
    let mut all = Findings::default();
    for seed in 0..SEEDS {
        all.add(World::run(seed, mistake));
    }
    all
}

#[test]
fn no_node_admits_a_revoked_key_after_the_bound_nor_after_the_revocation_has_returned() {
    let found = run(Mistake::None);
    assert_eq!(
        found.after_bound, 0,
        "I10: admitted after t_commit + T(1+2ρ), first by seed {:?}",
        found.seed
    );
    assert_eq!(
        found.after_return, 0,
        "G3: admitted after the revocation returned, first by seed {:?}",
        found.seed
    );
    assert!(found.after_commit > 1_000, "a bound that nobody comes near holds nothing: {found:?}");
    assert!(found.acknowledged > 50 && found.waited_out > 50, "{found:?}");
    assert!(found.latest_us > 1_990_000, "the bound is nearly reached: {found:?}");
}

#[test]
fn each_mistake_in_the_arithmetic_is_found() {
    for mistake in Mistake::EVERY {
        let found = run(mistake);
        assert!(found.after_bound + found.after_return > 0, "{mistake:?} was not found: {found:?}");
    }
}
