//! The order in which a request tries the targets of its route.

use crate::failure::Remedy;
use crate::{AttemptFailure, Standing};
use quorate_catalog::{RouteSpec, Strategy, Target};
use std::time::Duration;

/// How much a request may try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts in all, the first included.
    pub attempts_max: u8,
    /// The longest pause before the same target is tried again.
    pub pause_max: Duration,
}

impl Default for Policy {
    /// SDKs retry twice on their own: more of ours would multiply theirs.
    fn default() -> Self {
        Self { attempts_max: 4, pause_max: Duration::from_secs(2) }
    }
}

/// What the caller must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send to the target at this place in the route, then tell what came of it if it failed.
    Send(usize),
    /// Wait this long, then ask again.
    Wait(Duration),
    /// Answer the client.
    GiveUp(GiveUp),
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// The route has no target.
    NoTarget,
    /// No other attempt could do better than the last one, which failed like this.
    Useless(AttemptFailure),
    /// Every target failed, or the attempts are used up; the last one failed like this.
    Exhausted(AttemptFailure),
}

/// The attempts of one request: made for it, asked for the next step, told of each failure.
#[derive(Clone, Debug)]
pub struct Plan {
    policy: Policy,
    /// Places in the route, best first.
    order: [u8; RouteSpec::TARGETS_MAX],
    n_targets: usize,
    n_tried: usize,
    n_attempts: u8,
    current: usize,
    last_failure: Option<AttemptFailure>,
    /// The target that may be tried once more when all have failed, and the pause before it.
    again: Option<(usize, Again)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    AfterPause(Duration),
    Now,
}

impl Plan {
    /// Orders the targets: the strategy's choice first, the others in the route's order, and those that are cooling
    /// down after all healthy ones. `random` is drawn by the caller, afresh for each request.
    pub fn new(
        route: &RouteSpec,
        policy: Policy,
        random: u64,
        standing: impl Fn(&Target) -> Standing,
    ) -> Self {
        let targets = &route.targets[..route.targets.len().min(RouteSpec::TARGETS_MAX)];
        let mut order = [0; RouteSpec::TARGETS_MAX];
        for (place, number) in order.iter_mut().zip(0_u8..).take(targets.len()) {
            *place = number;
        }
        let order_used = &mut order[..targets.len()];
        order_used.sort_by_key(|place| standing(&targets[usize::from(*place)]));
        if route.strategy == Strategy::Weighted {
            let n_healthy = targets.iter().filter(|target| standing(target) == Standing::Healthy).count();
            draw_first(targets, order_used, n_healthy, random);
        }
        Self {
            policy,
            order,
            n_targets: targets.len(),
            n_tried: 0,
            n_attempts: 0,
            current: 0,
            last_failure: None,
            again: None,
        }
    }

    /// What to do now.
    pub fn next_step(&mut self) -> Step {
        let exhausted = self.last_failure.map_or(GiveUp::NoTarget, GiveUp::Exhausted);
        match self.last_failure {
            Some(failure) if failure.remedy() == Remedy::None => {
                return Step::GiveUp(GiveUp::Useless(failure));
            }
            Some(_) | None => {}
        }
        if self.n_attempts >= self.policy.attempts_max {
            return Step::GiveUp(exhausted);
        }
        if self.n_tried < self.n_targets {
            let target = usize::from(self.order[self.n_tried]);
            self.n_tried += 1;
            return self.send(target);
        }
        match self.again {
            None => Step::GiveUp(exhausted),
            Some((target, Again::AfterPause(pause))) => {
                self.again = Some((target, Again::Now));
                Step::Wait(pause)
            }
            Some((target, Again::Now)) => {
                self.again = None;
                self.send(target)
            }
        }
    }

    /// Tells how the attempt that [`Plan::next_step`] asked for failed.
    pub fn failed(&mut self, failure: AttemptFailure) {
        self.last_failure = Some(failure);
        let Remedy::AnyTarget { pause } = failure.remedy() else { return };
        let is_shorter = match self.again {
            Some((_, Again::AfterPause(other))) => pause < other,
            Some((_, Again::Now)) | None => true,
        };
        if is_shorter && pause <= self.policy.pause_max {
            self.again = Some((self.current, Again::AfterPause(pause)));
        }
    }

    /// How many attempts were begun.
    #[must_use]
    pub const fn n_attempts(&self) -> u8 {
        self.n_attempts
    }

    fn send(&mut self, target: usize) -> Step {
        self.current = target;
        self.n_attempts += 1;
        Step::Send(target)
    }
}

/// Puts one of the healthy targets (of all, if none is) in front, drawn by weight.
fn draw_first(targets: &[Target], order: &mut [u8], n_healthy: usize, random: u64) {
    let n_drawn = if n_healthy == 0 { order.len() } else { n_healthy };
    let weight = |place: &u8| u64::from(targets[usize::from(*place)].weight);
    let total: u64 = order[..n_drawn].iter().map(weight).sum();
    // The high half of the product is uniform below `total`.
    let mut ticket = (u128::from(random) * u128::from(total)) >> 64;
    let drawn = order[..n_drawn].iter().position(|place| {
        let share = u128::from(weight(place));
        let is_drawn = ticket < share;
        ticket = ticket.saturating_sub(share);
        is_drawn
    });
    if let Some(drawn) = drawn {
        order[..=drawn].rotate_right(1);
    }
}

#[cfg(test)]
mod tests;
