//! Which target comes when, and when to stop.

use super::*;
use crate::Cause;
use expect_test::{Expect, expect};
use proptest::prelude::{Just, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as _;
use quorate_domain::Name;

const POLICY: Policy = Policy { attempts_max: 4, pause_max: Duration::from_secs(2) };

fn route(strategy: Strategy, weights: &[u32]) -> RouteSpec {
    let target = |(place, weight): (usize, &u32)| Target {
        model: Name::parse(&format!("m{place}")).expect("a letter and a digit make a name"),
        weight: *weight,
    };
    RouteSpec {
        name: Name::parse("gpt").expect("letters make a name"),
        strategy,
        targets: weights.iter().enumerate().map(target).collect(),
    }
}

fn healthy(_: &Target) -> Standing {
    Standing::Healthy
}

/// Plays a plan against attempts that fail as listed, and compares the steps.
fn check(n_targets: usize, failures: &[AttemptFailure], expected: &Expect) {
    let mut plan = Plan::new(&route(Strategy::Ordered, &vec![1; n_targets]), POLICY, 0, healthy);
    let mut failures = failures.iter();
    let mut steps = String::new();
    loop {
        let step = plan.next_step();
        steps += &format!("{step:?}\n");
        match step {
            Step::Wait(_) => {}
            Step::GiveUp(_) => break,
            Step::Send(_) => match failures.next() {
                Some(failure) => plan.failed(*failure),
                None => break,
            },
        }
    }
    expected.assert_eq(&steps);
}

fn status(status: u16) -> AttemptFailure {
    Cause::Status(status).into()
}

#[test]
fn a_failing_target_gives_way_to_the_next() {
    check(
        3,
        &[status(500), Cause::Timeout.into()],
        &expect![[r#"
        Send(0)
        Send(1)
        Send(2)
    "#]],
    );
}

#[test]
fn what_is_the_callers_fault_is_not_tried_elsewhere() {
    check(
        3,
        &[status(400)],
        &expect![[r#"
        Send(0)
        GiveUp(Useless(AttemptFailure { cause: Status(400), retry_after: None }))
    "#]],
    );
}

#[test]
fn nothing_is_tried_again_after_content_began() {
    check(
        2,
        &[Cause::AfterContent.into()],
        &expect![[r#"
        Send(0)
        GiveUp(Useless(AttemptFailure { cause: AfterContent, retry_after: None }))
    "#]],
    );
}

#[test]
fn a_refused_connection_is_tried_once_more_after_a_pause() {
    check(
        1,
        &[Cause::Connect.into()],
        &expect![[r#"
        Send(0)
        Wait(100ms)
        Send(0)
    "#]],
    );
}

#[test]
fn when_all_failed_the_one_with_the_shortest_pause_is_tried_again() {
    let busy = |millis| AttemptFailure { retry_after: Some(Duration::from_millis(millis)), ..status(429) };
    check(
        3,
        &[busy(900), busy(300), busy(60_000)],
        &expect![[r#"
        Send(0)
        Send(1)
        Send(2)
        Wait(300ms)
        Send(1)
    "#]],
    );
}

#[test]
fn a_timeout_is_never_repeated_at_the_same_target() {
    check(
        1,
        &[Cause::Timeout.into()],
        &expect![[r#"
        Send(0)
        GiveUp(Exhausted(AttemptFailure { cause: Timeout, retry_after: None }))
    "#]],
    );
}

#[test]
fn attempts_are_bounded() {
    check(
        9,
        &[status(502); 9],
        &expect![[r#"
        Send(0)
        Send(1)
        Send(2)
        Send(3)
        GiveUp(Exhausted(AttemptFailure { cause: Status(502), retry_after: None }))
    "#]],
    );
}

#[test]
fn a_route_without_targets_gives_up_at_once() {
    check(
        0,
        &[],
        &expect![[r#"
        GiveUp(NoTarget)
    "#]],
    );
}

#[test]
fn a_cooling_target_comes_last_but_is_not_left_out() {
    let cooling = |target: &Target| match target.model.as_str() {
        "m0" => Standing::CoolingDown,
        _ => Standing::Healthy,
    };
    for strategy in [Strategy::Ordered, Strategy::Weighted] {
        let mut plan = Plan::new(&route(strategy, &[100, 1]), POLICY, 0, cooling);
        assert_eq!(plan.next_step(), Step::Send(1));
        plan.failed(status(500));
        assert_eq!(plan.next_step(), Step::Send(0));
    }
}

#[test]
fn weights_are_shares_of_the_requests() {
    let route = route(Strategy::Weighted, &[1, 0, 3]);
    let mut counts = [0; 3];
    for draw in 0..4_000_u64 {
        let random = draw * (u64::MAX / 4_000) + u64::MAX / 8_000;
        let Step::Send(target) = Plan::new(&route, POLICY, random, healthy).next_step() else {
            panic!("a route with targets begins by sending");
        };
        counts[target] += 1;
    }
    assert_eq!(counts, [1_000, 0, 3_000]);
}

proptest! {
    #[test]
    fn every_plan_ends_and_tries_each_target_once_before_any_twice(
        weights in prop::collection::vec(0_u32..5, 0..20),
        weighted in any::<bool>(),
        random in any::<u64>(),
        causes in prop::collection::vec(prop_oneof![
            Just(Cause::Connect), Just(Cause::Timeout), (400_u16..600).prop_map(Cause::Status),
        ], 30),
    ) {
        let strategy = if weighted { Strategy::Weighted } else { Strategy::Ordered };
        let mut plan = Plan::new(&route(strategy, &weights), Policy { attempts_max: 30, ..POLICY }, random, healthy);
        let (mut sent, mut causes) = (Vec::new(), causes.iter());
        for _ in 0..100 {
            match plan.next_step() {
                Step::Send(target) => {
                    sent.push(target);
                    plan.failed(causes.next().copied().unwrap_or(Cause::OutOfTime).into());
                }
                Step::Wait(pause) => prop_assert!(pause <= POLICY.pause_max),
                Step::GiveUp(_) => break,
            }
        }
        prop_assert!(matches!(plan.next_step(), Step::GiveUp(_)));
        let n_targets = weights.len().min(RouteSpec::TARGETS_MAX);
        let mut first_round: Vec<_> = sent.iter().take(n_targets).copied().collect();
        first_round.sort_unstable();
        first_round.dedup();
        prop_assert_eq!(first_round.len(), sent.len().min(n_targets));
    }
}
