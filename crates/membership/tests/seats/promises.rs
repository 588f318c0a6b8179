//! What holds whatever is asked in whatever order, and whoever is down.

use crate::town::{Town, id};
use proptest::prelude::*;
use quorate_membership::{Ask, Change, Command, Mode, Outcome, Rejection, Report, Successor, Wish, spare};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
enum Step {
    Admit(u8),
    Silence(u64, u64),
    Recover(u64),
    Ask(Ask),
    Stale(Ask),
    Drained(u64),
    Fly,
    Target(u32, bool),
}

fn ask() -> impl Strategy<Value = Ask> {
    let node = || (1..12_u64).prop_map(id);
    prop_oneof![
        node().prop_map(|node| Ask::Drain(node, None)),
        node().prop_map(Ask::Undrain),
        node().prop_map(Ask::Remove),
        node().prop_map(|node| Ask::Replace(node, Successor::Anyone)),
        (node(), proptest::option::of(node())).prop_map(|(node, instead)| Ask::Promote(node, instead)),
        node().prop_map(Ask::Demote),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_u8).prop_map(Step::Admit),
        2 => (1..12_u64, 0..30_u64).prop_map(|(node, hours)| Step::Silence(node, hours)),
        3 => (1..12_u64).prop_map(Step::Recover),
        4 => ask().prop_map(Step::Ask),
        1 => ask().prop_map(Step::Stale),
        1 => (1..12_u64).prop_map(Step::Drained),
        5 => Just(Step::Fly),
        1 => (1..9_u32, any::<bool>()).prop_map(|(target, paused)| Step::Target(target, paused)),
    ]
}

struct Watch {
    town: Town,
    ids: BTreeSet<u64>,
}

impl Watch {
    fn take(&mut self, step: Step) {
        let last = self.town.table.ever().count();
        match step {
            Step::Admit(zone) => self.town.admit(Some(["a", "b", "c", "d"][usize::from(zone)])),
            Step::Silence(node, hours) if self.is_member(node) && id(node) != self.town.sight.leader => {
                self.town.silence(node, hours);
            }
            Step::Recover(node) if self.is_member(node) => {
                let well = self.town.sight.nodes[&self.town.sight.leader];
                self.town.sight.nodes.insert(id(node), well);
            }
            Step::Silence(..) | Step::Recover(_) => {}
            Step::Ask(ask) => self.ask(&ask),
            Step::Stale(ask) => self.ask_late(&ask),
            Step::Drained(node) if self.is_member(node) => {
                let boot = self.town.table.get(id(node)).unwrap().boot;
                let report = Command::Report { node: id(node), boot, report: Report::Drained };
                self.town.table.apply(crate::town::NOW, report);
            }
            Step::Drained(_) => {}
            Step::Fly => self.fly(),
            Step::Target(target, paused) => self.town.set_autopilot(|settings| {
                settings.target = target;
                settings.mode = if paused { Mode::Paused } else { Mode::Active };
            }),
        }
        self.follow();
        let given = self.town.table.ever().skip(last);
        given.for_each(|node| assert!(self.ids.insert(node.get()), "id {node} was given twice"));
    }

    fn is_member(&self, node: u64) -> bool {
        self.town.table.get(id(node)).is_some()
    }

    fn ask(&mut self, ask: &Ask) {
        let Ok(plan) = self.town.plan(ask) else { return };
        let Some(change) = plan.change.clone().filter(|_| plan.refusals().next().is_none()) else { return };
        let before = self.town.table.voters().clone();
        assert_eq!(
            self.town.change(change),
            Outcome::Done,
            "a plan that refuses nothing can be applied: {plan:?}"
        );
        assert_eq!(*self.town.table.voters(), plan.voters_after, "the voters are those of the plan");
        assert!(self.town.table.voters().len() % 2 == 1, "{plan:?}");
        if before != plan.voters_after {
            assert!(
                spare(&before, &self.town.sight) >= 0 && spare(&plan.voters_after, &self.town.sight) >= 0,
                "{plan:?}"
            );
        }
    }

    /// What was planned before something else happened is refused.
    fn ask_late(&mut self, ask: &Ask) {
        let Ok(plan) = self.town.plan(ask) else { return };
        let Some(change) = plan.change else { return };
        self.town.admit(None);
        let by = quorate_membership::By { actor: "bob".to_owned(), reason: None };
        let order = quorate_membership::Order { expected: plan.revision, by, change };
        let before = self.town.table.clone();
        let outcome = self.town.table.apply(crate::town::NOW, Command::Change(order));
        let revision = before.revision();
        assert_eq!(outcome, Outcome::Rejected(Rejection::Conflict { expected: plan.revision, revision }));
        assert_eq!(self.town.table, before);
    }

    fn fly(&mut self) {
        for _ in 0..20 {
            let Some(Wish { change, .. }) = self.town.wish() else { return };
            let before = self.town.table.voters().clone();
            assert_eq!(self.town.change(change.clone()), Outcome::Done);
            let after = self.town.table.voters();
            assert!(after == &before || after.len() % 2 == 1, "{before:?} → {after:?}");
            assert!([&before, after].iter().all(|voters| spare(voters, &self.town.sight) >= 0), "{change:?}");
            if let Change::Remove { node, .. } = change {
                assert_ne!(
                    Some(node),
                    Some(self.town.sight.leader).filter(|leader| self.town.table.get(*leader).is_some())
                );
            }
            self.follow();
        }
        panic!("the autopilot does not come to rest");
    }

    /// Raft follows, and somebody leads that votes and is reachable.
    fn follow(&mut self) {
        self.town.follow();
        let (table, sight) = (&self.town.table, &mut self.town.sight);
        sight.nodes.retain(|node, _| table.get(*node).is_some());
        if !sight.voters.contains(&sight.leader) {
            let well = table.voters().iter().find(|voter| sight.reaches(**voter));
            sight.leader = *well.expect("a change leaves a quorum that is reachable");
        }
        assert!(table.voters().iter().all(|voter| table.get(*voter).is_some()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn seats_are_safe_whatever_is_asked(steps in proptest::collection::vec(step(), 1..60)) {
        let mut watch = Watch { town: Town::new(), ids: BTreeSet::from([1]) };
        steps.into_iter().for_each(|step| watch.take(step));
    }
}
