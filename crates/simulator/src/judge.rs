//! Judgement after each event: what the oracle, the nodes' journals and those who wait say.
//!
//! Only what an event can have changed is looked at anew: the ledger after an entry, the truth after a change of it, the journals
//! and lines of the nodes that were touched. Everything else is as it was when it was judged last.

use crate::campaign::Violation;
use crate::patience;
use crate::request::State;
use crate::world::{World, budget_id, node_id};
use quorate_domain::{BudgetId, PlaceId, SessionId};
use quorate_ledger::{Account, Budget, Place};

/// Up to where things were judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Judged {
    entries: usize,
    truths: u64,
    journals: u64,
}

impl World {
    pub(crate) fn judge(&mut self) {
        self.sample();
        let judgement = self.judge_changes().and_then(|()| self.judge_lines());
        self.touched.clear();
        if let Err(violation) = judgement {
            self.violation.get_or_insert(violation);
        }
    }

    fn judge_changes(&mut self) -> Result<(), Violation> {
        let ledger = &self.log.ledger;
        let now = Judged {
            entries: self.log.entries.len(),
            truths: self.oracle.changes(),
            journals: self.journals_written,
        };
        let before = std::mem::replace(&mut self.judged, now);
        let (has_entry, has_truth) = (now.entries != before.entries, now.truths != before.truths);
        if has_entry {
            self.oracle.check_ledger(ledger)?;
        }
        if has_entry || has_truth {
            self.oracle.check(ledger)?;
        }
        if has_truth || now.journals != before.journals {
            self.touched.iter().try_for_each(|place| self.nodes[*place].check(&self.oracle, ledger))?;
        }
        Ok(())
    }

    fn judge_lines(&mut self) -> Result<(), Violation> {
        let lines = || self.in_line.iter().map(|place| &self.nodes[*place]);
        patience::check(self.now, lines(), &self.plan)?;
        if self.is_calm {
            return self.promptness.check(self.now, &self.log.ledger, lines(), &self.plan);
        }
        Ok(())
    }

    /// For each request that waits: the least that was unreserved of each of its budgets since it came (G2).
    pub(crate) fn sample(&mut self) {
        for place in &self.touched {
            self.nodes[*place].look_at_line();
            if self.nodes[*place].waiting().next().is_some() {
                self.in_line.insert(*place);
            } else {
                self.in_line.remove(place);
            }
        }
        if self.in_line.is_empty() {
            return;
        }
        let waiting: Vec<usize> =
            self.in_line.iter().flat_map(|place| self.nodes[*place].waiting()).collect();
        let at = self.log_time();
        for place in 0..self.plan.budgets.len() {
            let concerns = |number: &&usize| self.plan.requests[**number].path.contains(&place);
            let concerned: Vec<usize> = waiting.iter().filter(concerns).copied().collect();
            if let Some(account) = self.log.ledger.budget(budget_id(place)).map(Budget::current)
                && !concerned.is_empty()
            {
                let granted = self.granted_by_name(account, budget_id(place));
                let untold = self.overspending.untold(budget_id(place), &self.log.ledger);
                let unreserved = self.oracle.unreserved(&self.log.ledger, budget_id(place), granted, at)
                    - i128::from(untold);
                let calls = LastCalls::of(account, unreserved);
                for number in concerned {
                    let session = self.nodes[self.plan.requests[number].node].session();
                    let id = self.requests[number].id;
                    let left = session.map_or(unreserved, |session| calls.left_for(session, id));
                    self.requests[number].saw(place, left);
                }
            }
        }
    }

    /// What the ledger has granted by name to requests that still wait for it.
    fn granted_by_name(&self, account: &Account, budget: BudgetId) -> u64 {
        if !account.is_central() {
            return 0;
        }
        self.in_line.iter().map(|place| self.nodes[*place].granted_by_name(account, budget)).sum()
    }

    pub(crate) fn judge_the_end(&mut self) {
        if self.violation.is_some() {
            return;
        }
        let at = self.log.ledger.time();
        let billed = self.oracle.check_quiescence(&self.log.ledger, at);
        let has_lost_its_disk = |node| self.oracle.has_lost_its_disk(node);
        let nodes: Vec<_> = (0..self.nodes.len()).map(node_id).collect();
        let overspent = self.overspending.check(&self.log.ledger, &nodes, has_lost_its_disk);
        let beyond = self.oracle.check_beyond(&self.log.ledger, &self.overspending);
        self.violation = billed.and(self.rates.check(&self.log.ledger)).and(overspent).and(beyond).err();
        for node in 0..self.nodes.len() {
            self.catch_up(node, self.log.entries.len());
            if self.violation.is_none() && self.nodes[node].replica != self.log.ledger {
                self.violation =
                    Some(Violation { id: "I9".to_owned(), what: format!("node {node} has another state") });
            }
        }
        let open = self.requests.iter().position(|request| request.state == State::Waits);
        if self.violation.is_none()
            && let Some(request) = open
        {
            self.violation =
                Some(Violation { id: "L2".to_owned(), what: format!("request {request} still waits") });
        }
    }
}

/// What those who stand before a request in line leave of what is unreserved, each taking all it needs or nothing. Who come
/// after it, or have patience still, do not count.
struct LastCalls {
    unreserved: i128,
    /// Each with what it leaves.
    calls: Vec<(SessionId, PlaceId, i128)>,
}

impl LastCalls {
    fn of(account: &Account, unreserved: i128) -> Self {
        let is_silent = |session| account.central().is_some_and(|central| central.is_silent(session));
        let calls = account.line().filter(|(session, place)| place.is_last_call && !is_silent(*session));
        let leaves = |left: &mut i128, (session, place): (SessionId, Place)| {
            let need = i128::from(place.need.get());
            *left = if *left < need { *left } else { *left - need };
            Some((session, place.id, *left))
        };
        Self { unreserved, calls: calls.scan(unreserved, leaves).collect() }
    }

    fn left_for(&self, session: SessionId, id: PlaceId) -> i128 {
        let itself = self.calls.iter().position(|call| (call.0, call.1) == (session, id));
        // One that was not mentioned stands behind those of its node that were.
        let behind = || Some(self.calls.iter().rposition(|call| call.0 == session && call.1 < id)? + 1);
        let count = itself.or_else(behind).unwrap_or(0);
        count.checked_sub(1).map_or(self.unreserved, |last| self.calls[last].2)
    }
}
