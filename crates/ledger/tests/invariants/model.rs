//! All lives of a few honest nodes within small bounds: the checker takes every step from every state, so that within the
//! bounds nothing is left to chance. Ledger, nodes and checks are those of the random lives.

use crate::node::Mistake;
use crate::world::{Fate, Holds, Step, World};
use quorate_ledger::{Kind, Prospect};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};

/// How often something may happen, over all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Bounds {
    /// Requests that come.
    requests: u8,
    /// Messages that nodes send.
    messages: u8,
    /// Messages and answers that are lost, late or come twice.
    faults: u8,
    /// Deaths with a journal.
    crashes: u8,
    /// Deaths without one.
    lost_disks: u8,
    /// Sessions that are declared dead while they live.
    expiries: u8,
}

/// A small cluster and what is to happen to it.
#[derive(Clone, Copy, Debug)]
struct Lives {
    n_nodes: usize,
    limit: u64,
    /// What requests may need.
    needs: &'static [u64],
    bounds: Bounds,
    mistake: Option<Mistake>,
}

/// What nodes want beyond what their requests need.
const GREED: u64 = 1;

/// A state, and what may still happen.
#[derive(Clone, Debug, PartialEq)]
struct Moment {
    world: World,
    left: Bounds,
    broken: Option<String>,
}

/// States are told apart by all that is in them.
impl Hash for Moment {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        write!(Text(hasher), "{self:?}").expect("a hasher takes everything");
    }
}

struct Text<'a, H>(&'a mut H);

impl<H: Hasher> fmt::Write for Text<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// What may happen must be paid for.
fn pay(left: &mut u8) -> Option<()> {
    *left = left.checked_sub(1)?;
    Some(())
}

impl Bounds {
    fn pay(&mut self, step: &Step) -> Option<()> {
        match step {
            Step::Come { .. } | Step::Reserve { .. } => pay(&mut self.requests),
            Step::Ask { fate, .. } | Step::Report { fate, .. } => {
                pay(&mut self.messages)?;
                if *fate == Fate::Answered { Some(()) } else { pay(&mut self.faults) }
            }
            Step::Redeliver { .. } => pay(&mut self.faults),
            Step::Restart { .. } => pay(&mut self.crashes),
            Step::LoseDisk { .. } => pay(&mut self.lost_disks),
            Step::Expire { .. } => pay(&mut self.expiries),
            Step::Hurry { .. }
            | Step::LastCall { .. }
            | Step::Leave { .. }
            | Step::Look { .. }
            | Step::Serve { .. }
            | Step::Settle { .. }
            | Step::Overrun { .. }
            | Step::Overspend { .. }
            | Step::Hear { .. }
            | Step::Reopen { .. }
            | Step::Return { .. }
            | Step::Pass { .. }
            | Step::Raise { .. } => Some(()),
        }
    }
}

impl Lives {
    fn steps_of(&self, node: usize, steps: &mut Vec<Step>) {
        steps.extend(self.needs.iter().map(|need| Step::Come { node, need: *need }));
        let fates = [Fate::Answered, Fate::AnswerLost, Fate::AnswerLate, Fate::Late];
        steps.extend(fates.map(|fate| Step::Ask { node, greed: GREED, fate }));
        steps.extend([0, u64::MAX].map(|spent| Step::Settle { node, spent }));
        steps.extend([Step::Look { node }, Step::Serve { node }, Step::Return { node }]);
        steps.push(Step::Reserve { node, size: 1, headroom: 1 });
        steps.extend([Step::Restart { node }, Step::LoseDisk { node }, Step::Expire { node }]);
    }
}

impl Model for Lives {
    type State = Moment;
    type Action = Step;

    fn init_states(&self) -> Vec<Moment> {
        let mut world = World::new(Kind::Lifetime, self.limit, self.n_nodes);
        for node in &mut world.nodes {
            (node.mistake, node.hurries) = (self.mistake, true);
        }
        vec![Moment { world, left: self.bounds, broken: None }]
    }

    fn actions(&self, moment: &Moment, steps: &mut Vec<Step>) {
        if moment.broken.is_some() {
            return;
        }
        (0..self.n_nodes).for_each(|node| self.steps_of(node, steps));
        let (copies, late) = moment.world.on_their_way();
        steps.extend((0..copies).map(|which| Step::Redeliver { which }));
        steps.extend((0..late).map(|which| Step::Hear { which }));
    }

    fn next_state(&self, moment: &Moment, step: Step) -> Option<Moment> {
        let mut next = moment.clone();
        next.left.pay(&step)?;
        next.world.take(&step);
        if let Step::Come { node, .. } = step {
            // Nobody has patience: a denial is sought at once.
            next.world.take(&Step::LastCall { node });
        }
        if next.world == moment.world {
            return None;
        }
        next.broken = next.world.check().and_then(|()| next.check_the_end()).err();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("G1", |_, moment: &Moment| !moment.breaks("G1")),
            Property::always("G2", |_, moment: &Moment| !moment.breaks("G2")),
            Property::always("I1", |_, moment: &Moment| !moment.breaks("I1")),
            Property::always("I3", |_, moment: &Moment| !moment.breaks("I3")),
            Property::always("I4", |_, moment: &Moment| !moment.breaks("I4")),
            Property::always("I5", |_, moment: &Moment| !moment.breaks("I5")),
            Property::always("I6", |_, moment: &Moment| !moment.breaks("I6")),
            Property::sometimes("all is billed", |_, moment: &Moment| moment.world.is_all_billed()),
            Property::sometimes("a request is denied", |_, moment: &Moment| moment.denies(|_| true)),
            Property::sometimes("a round denies a request", |_, moment: &Moment| {
                moment.denies(|prospect| matches!(prospect, Prospect::Held { .. }))
            }),
            Property::sometimes("something is in doubt", |_, moment: &Moment| {
                !moment.world.in_doubt().is_zero()
            }),
            Property::sometimes("a crash is charged", |_, moment: &Moment| {
                !moment.world.crash_charged().is_zero()
            }),
        ]
    }
}

impl Moment {
    /// Once nobody says anything any more, all that nobody needs comes back.
    fn check_the_end(&self) -> Holds {
        if self.left.messages > 0 { Ok(()) } else { self.world.clone().check_quiescence() }
    }

    fn denies(&self, how: impl Fn(Prospect) -> bool) -> bool {
        self.world.denials().any(how)
    }

    fn breaks(&self, id: &str) -> bool {
        self.broken.as_ref().is_some_and(|what| what.starts_with(id))
    }
}

impl Bounds {
    /// Without optimisation the checker takes a tenth of the steps in the same time: bounds are narrower then.
    const fn of(requests: u8, messages: u8) -> Self {
        let messages = if cfg!(debug_assertions) { messages - 1 } else { messages };
        Self { requests, messages, faults: 0, crashes: 0, lost_disks: 0, expiries: 0 }
    }
}

/// Two nodes, of whose requests one can be served and one cannot.
const TWO: Lives = Lives { n_nodes: 2, limit: 3, needs: &[2], bounds: Bounds::of(2, 3), mistake: None };

/// Takes every step from every state, and finds that all promises hold, and that what should come about does.
fn explore(what: &str, lives: Lives, comes_about: &[&'static str]) {
    let checker = lives.checker().spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    say(format_args!("{what}: {states} states, at most {depth} steps"));
    for path in checker.discoveries().into_values() {
        let broken = path.last_state().broken.clone();
        assert_eq!(broken, None, "{what}: after {:?}", path.into_actions());
    }
    for name in comes_about {
        assert!(checker.discovery(name).is_some(), "{what}: never is it that {name}");
    }
}

#[expect(clippy::print_stdout, reason = "with --nocapture, how much was explored")]
fn say(what: fmt::Arguments<'_>) {
    println!("{what}");
}

#[test]
fn all_lives_of_two_nodes() {
    let lives = Lives { bounds: Bounds::of(2, 4), ..TWO };
    explore("two nodes", lives, &["all is billed", "a request is denied"]);
}

#[test]
fn all_lives_of_three_nodes() {
    explore("three nodes", Lives { n_nodes: 3, ..TWO }, &["a request is denied"]);
}

#[test]
fn all_lives_of_a_request_that_needs_what_another_one_has() {
    let lives = Lives { limit: 2, bounds: Bounds::of(2, 5), ..TWO };
    explore("rounds", lives, &["a round denies a request"]);
}

#[test]
fn all_lives_with_a_message_that_is_lost_late_or_repeated() {
    let bounds = Bounds { faults: 1, ..TWO.bounds };
    explore("a fault of the network", Lives { bounds, ..TWO }, &["a request is denied"]);
}

#[test]
fn all_lives_with_a_crash() {
    let bounds = Bounds { crashes: 1, ..TWO.bounds };
    explore("a crash", Lives { bounds, ..TWO }, &["a crash is charged"]);
}

#[test]
fn all_lives_with_a_lost_disk() {
    let bounds = Bounds { lost_disks: 1, ..TWO.bounds };
    explore("a lost disk", Lives { bounds, ..TWO }, &["something is in doubt"]);
}

#[test]
fn all_lives_with_a_session_that_is_declared_dead() {
    let bounds = Bounds { expiries: 1, ..TWO.bounds };
    explore("an expiry", Lives { bounds, ..TWO }, &["something is in doubt"]);
}

/// The checker finds what breaks the promise.
fn find(id: &'static str, mistake: Mistake, lives: Lives) {
    let first = HasDiscoveries::AnyOf(BTreeSet::from([id]));
    let lives = Lives { mistake: Some(mistake), ..lives };
    let checker = lives.checker().finish_when(first).spawn_bfs().join();
    let path =
        checker.discovery(id).unwrap_or_else(|| panic!("{mistake:?} breaks {id}, and it is not found"));
    let broken = path.last_state().broken.clone();
    say(format_args!("{mistake:?}, {broken:?}: {:?}", path.into_actions()));
}

#[test]
fn each_mistake_of_a_node_is_found() {
    let two_words = Bounds { messages: 2, ..TWO.bounds };
    let crash = Lives { bounds: Bounds { crashes: 1, ..two_words }, ..TWO };
    find("I3", Mistake::JournalsTooLate, crash);
    find("I3", Mistake::KeepsItsGrants, crash);
    find("I5", Mistake::ReportsDifferences, Lives { limit: 8, bounds: two_words, ..TWO });
    let two_rounds = Bounds { requests: 1, messages: 5, ..two_words };
    find("G2", Mistake::KeepsWhatIsRecalled, Lives { needs: &[3], bounds: two_rounds, ..TWO });
}
