//! Looks on, and takes down which of the states that matter a run reaches. Changes nothing.

use crate::node::Node;
use crate::reached::Reached;
use crate::world::{World, boot_id, node_id, place_of};
use quorate_domain::{Amount, BudgetId, Round, SessionId};
use quorate_ledger::{
    Answer, Budget, BudgetReport, Command, Evidence, HolderState, HoldingReport, Mark, Outcome, Place,
    Reserve, Session, SpendingReport,
};
use std::cmp::Ordering;
use std::collections::BTreeSet;

impl World {
    /// After an entry: how budgets are handed out now, and what rounds have shown.
    pub(crate) fn watch_modes(&mut self, before: &BTreeSet<BudgetId>, command: &Command) {
        let after = self.log.ledger.central().clone();
        let mut reached = Vec::new();
        reached.extend(after.difference(before).map(|_| Reached::CentralMode));
        reached.extend(before.difference(&after).map(|_| Reached::BackToSlices));
        for account in after.iter().filter_map(|id| Some(self.log.ledger.budget(*id)?.current())) {
            let tally = account.shown_from(Round::default()).next().filter(|_| !account.is_round_under_way());
            reached.extend(tally.map(|tally| {
                if tally.doubtful().next().is_none() { Reached::LaterRound } else { Reached::FirstRound }
            }));
        }
        if let Command::Sync(sync) = command {
            let is_still_asked = |report: &&SpendingReport| {
                let account = self.log.ledger.budget(report.budget).and_then(|it| it.account(report.window));
                report.heard.is_some() && account.is_some_and(|it| it.asks(sync.session))
            };
            reached.extend(sync.reports.iter().filter(is_still_asked).map(|_| Reached::AnswerDidNotCount));
        }
        let rolled = sync_rolls(command) && self.nodes.iter().any(Node::has_line);
        reached.extend(rolled.then_some(Reached::RolledWithLine));
        reached.into_iter().for_each(|state| self.coverage.reach(state));
    }

    /// A message does not arrive: whether it was an answer to a round.
    pub(crate) fn watch_loss(&mut self, command: &Command) {
        let Command::Sync(sync) = command else { return };
        if sync.reports.iter().any(|report| report.heard.is_some()) {
            self.coverage.reach(Reached::AnswerLost);
        }
    }

    /// The leader is gone: whether a round is under way, which the next one must go on with.
    pub(crate) fn watch_leader(&mut self) {
        let ledger = &self.log.ledger;
        let mut central = ledger.central().iter().filter_map(|id| ledger.budget(*id));
        if central.any(|budget| budget.current().is_round_under_way()) {
            self.coverage.reach(Reached::LeaderChangedInRound);
        }
    }

    pub(crate) fn watch_answers(&mut self, outcome: &Outcome) {
        let Outcome::Synced { answers } = outcome else { return };
        let is_ahead = |answer: &Answer| match answer {
            Answer::Holds { view, .. } => view.window.id.start() > self.log.ledger.time(),
            Answer::WindowOver { .. } | Answer::UnknownBudget { .. } => false,
        };
        if answers.iter().any(is_ahead) {
            self.coverage.reach(Reached::GrantedAhead);
        }
    }

    /// Whether too little was unreserved for a request in line at an instant since it came, but for what dead and silent
    /// sessions hold; or nobody waits there any more.
    pub(crate) fn cannot_be_met(&self, budget: BudgetId, session: SessionId, place: &Place) -> bool {
        let node = self.nodes.iter().find(|node| node.session() == Some(session));
        let Some(number) = node.and_then(|node| node.tickets.get(&place.id)) else { return true };
        let of = place_of(budget);
        let is_unknown = |holding: &&HoldingReport| holding.state != HolderState::Live;
        let report = self.log.ledger.report(budget);
        let held = |report: BudgetReport| -> u64 {
            report.holdings.iter().filter(is_unknown).map(|holding| holding.outstanding.get()).sum()
        };
        let in_doubt = report.map_or(0, held);
        let least = self.requests[*number].least(of);
        least.is_some_and(|least| least < i128::from(place.need.get()) + i128::from(in_doubt))
    }

    /// Of buckets for which requests are in line: how much may be spent of each in all.
    pub(crate) fn waited_for(&self) -> Vec<(BudgetId, Amount)> {
        let is_bucket = |budget: &&Budget| budget.spec().kind.refill().is_some();
        let budgets =
            self.log.ledger.central().iter().filter_map(|id| Some((*id, self.log.ledger.budget(*id)?)));
        let waited = budgets.filter(|(_, it)| is_bucket(it) && it.current().line_length() > 0);
        waited.map(|(id, budget)| (id, budget.limit())).collect()
    }

    /// After an entry: whether it told that something has leaked.
    pub(crate) fn watch_buckets(&mut self, before: &[(BudgetId, Amount)]) {
        let limit = |id: BudgetId| self.log.ledger.budget(id).map(Budget::limit);
        if before.iter().any(|(id, before)| limit(*id).is_some_and(|now| now > *before)) {
            self.coverage.reach(Reached::LeakedWithLine);
        }
        let is_in_debt = |id: &BudgetId| {
            let bucket = self.log.ledger.budget(*id).filter(|it| it.spec().reserve == Reserve::Estimate);
            bucket.is_some_and(|it| {
                let spent = it.current().used().saturating_add(it.current().overrun());
                spent > it.limit()
            })
        };
        if before.iter().any(|(id, _)| is_in_debt(id)) {
            self.coverage.reach(Reached::WaitedForDebt);
        }
    }

    /// Before an entry: whether it comes too late, or ends a life.
    pub(crate) fn watch_message(&mut self, place: usize, command: &Command) {
        match command {
            Command::Sync(sync) => {
                let known = self.log.ledger.session(sync.session).map(|life| life.sequence);
                match known.map(|known| sync.sequence.cmp(&known)) {
                    Some(Ordering::Less) => self.coverage.reach(Reached::OldMessage),
                    Some(Ordering::Equal) => self.coverage.reach(Reached::SameMessage),
                    Some(Ordering::Greater) | None => {}
                }
            }
            Command::OpenSession(open) => {
                let ledger = &self.log.ledger;
                if open.previous != ledger.latest_session(open.node)
                    && open.boot != boot_id(place, self.nodes[place].life)
                {
                    self.coverage.reach(Reached::StaleOpening);
                }
                let is_own = |life: &Session| life.node == node_id(place);
                let held = ledger.sessions().filter(|(_, life)| is_own(life)).any(|(session, life)| {
                    life.holds.iter().any(|(budget, window)| {
                        let account = ledger.budget(*budget).and_then(|it| it.account(*window));
                        account
                            .and_then(|it| it.holding(session))
                            .is_some_and(|it| !it.outstanding().is_zero())
                    })
                });
                if !held {
                    return;
                }
                let Evidence::Intact { marks, .. } = &open.evidence else {
                    return self.coverage.reach(Reached::CrashWithoutJournal);
                };
                let is_clamped = |mark: &Mark| {
                    let account = self.log.ledger.budget(mark.budget).and_then(|it| it.account(mark.window));
                    let holding = account.and_then(|it| it.holding(mark.session));
                    holding.is_some_and(|it| mark.spent_bound > it.granted.saturating_sub(it.returned))
                };
                let begins_late = |mark: &Mark| {
                    self.oracle.is_ahead_of_death(mark) && mark.window.start() <= self.log.ledger.time()
                };
                if self.nodes[place].disk.written().any(begins_late) {
                    self.coverage.reach(Reached::DiedBeforeItBegan);
                }
                if let Err(broken) = self.oracle.check_marks(marks) {
                    self.violation.get_or_insert(broken);
                }
                if marks.iter().any(is_clamped) {
                    self.coverage.reach(Reached::Clamped);
                }
                self.coverage.reach(Reached::CrashWithJournal);
            }
            Command::Tick
            | Command::PutBudget(_)
            | Command::RemoveBudget { .. }
            | Command::CloseSession { .. }
            | Command::ExpireSession { .. }
            | Command::Resolve(_)
            | Command::PutTimeZone(_)
            | Command::PutTemplate(_)
            | Command::GoOn { .. } => {}
            Command::TellMarks(_) => self.coverage.reach(Reached::ToldInParts),
            Command::MeetEndUser(meet) => self.watch_meeting(meet),
        }
    }
}

/// Whether a message tells of a window that is over while it asks.
fn sync_rolls(command: &Command) -> bool {
    let Command::Sync(sync) = command else { return false };
    sync.asks.iter().any(|ask| ask.window.is_none() && !ask.places.is_empty())
}
