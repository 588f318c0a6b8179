//! Random lives of honest nodes over a log that repeats, delays and loses their messages, and all small ones: G1, G2, I1, I3,
//! I4, I5 and I6 must hold.
//!
//! The nodes keep their own truth of what they spent; the ledger never sees it, only reports and journals.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that finds something else has failed")]

mod model;
mod node;
mod world;

use proptest::prelude::*;
use quorate_domain::Period;
use quorate_ledger::Kind;
use world::{Fate, Step, World};

const NODES: usize = 3;

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![4 => Just(Fate::Answered), 1 => Just(Fate::AnswerLost), 1 => Just(Fate::AnswerLate), 1 => Just(Fate::Late)]
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..NODES;
    prop_oneof![
        6 => (node.clone(), 1..40_u64).prop_map(|(node, need)| Step::Come { node, need }),
        8 => (node.clone(), 0..80_u64, fate()).prop_map(|(node, greed, fate)| Step::Ask { node, greed, fate }),
        1 => node.clone().prop_map(|node| Step::Hurry { node }),
        3 => node.clone().prop_map(|node| Step::LastCall { node }),
        1 => node.clone().prop_map(|node| Step::Leave { node }),
        6 => node.clone().prop_map(|node| Step::Look { node }),
        6 => node.clone().prop_map(|node| Step::Serve { node }),
        4 => (node.clone(), 1..40_u64, 0..9_u64)
            .prop_map(|(node, size, headroom)| Step::Reserve { node, size, headroom }),
        8 => (node.clone(), 0..40_u64).prop_map(|(node, spent)| Step::Settle { node, spent }),
        1 => (node.clone(), 1..30_u64).prop_map(|(node, size)| Step::Overrun { node, size }),
        1 => (node.clone(), 1..30_u64).prop_map(|(node, size)| Step::Overspend { node, size }),
        5 => (node.clone(), fate()).prop_map(|(node, fate)| Step::Report { node, fate }),
        3 => (0..64_usize).prop_map(|which| Step::Redeliver { which }),
        3 => (0..16_usize).prop_map(|which| Step::Hear { which }),
        1 => (0..16_usize).prop_map(|which| Step::Reopen { which }),
        2 => node.clone().prop_map(|node| Step::Return { node }),
        1 => node.clone().prop_map(|node| Step::Restart { node }),
        1 => node.clone().prop_map(|node| Step::LoseDisk { node }),
        1 => node.prop_map(|node| Step::Expire { node }),
        1 => (1..30_000_u64).prop_map(|millis| Step::Pass { millis }),
        1 => (0..50_u64).prop_map(|by| Step::Raise { by }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_life_of_honest_nodes_overspends_or_leaks_or_denies_what_was_there(
        steps in prop::collection::vec(step(), 1..200),
        limit in 1..400_u64,
        lifetime in any::<bool>(),
    ) {
        let kind = if lifetime { Kind::Lifetime } else { Kind::Fixed(Period::Minute) };
        let mut world = World::new(kind, limit, NODES);
        for step in &steps {
            world.take(step);
            prop_assert_eq!(world.check(), Ok(()));
        }
        prop_assert_eq!(world.check_quiescence(), Ok(()));
    }
}
