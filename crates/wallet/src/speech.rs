//! What a session says to the ledger, and how it takes in what the ledger answers or a replica shows.
//!
//! One exchange at a time. Every message tells the whole state as it is then, so that one that was lost is made up for
//! by the next.

use crate::account::Followed;
use crate::asker::{Asker, Talk};
use crate::forward::Forward;
use crate::{Account, Statement, Wallet};
use quorate_domain::{BudgetId, MonoTime, Round, Span, WindowId};
use quorate_ledger::{Answer, Ask, Ledger, Session, SpendingReport, Sync, View};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// How often grants are searched for that no answer told of.
const SEARCH_EVERY: Duration = Duration::from_secs(5);
/// So many are looked at in a search. Where a session holds more, there are so many more searches in that time.
const SEARCHED_AT_ONCE: usize = 1_000;

type Spot = (BudgetId, WindowId);

/// One message, and what it was made of.
#[derive(Debug)]
pub struct Speech {
    /// The message.
    pub sync: Sync,
    reports: Vec<(Arc<Account>, Statement)>,
    /// Everybody had a turn to report, not only those who ask for something.
    is_report: bool,
}

impl Wallet {
    /// Takes note of what a replica shows of budgets that are handed out request by request. `true` if something is to
    /// be said at once.
    pub fn follow(&self, ledger: &Ledger, now: MonoTime) -> bool {
        self.turn_due(ledger);
        self.look_for_strays(ledger, now);
        let waited_at = self.line.lock().budgets();
        waited_at.iter().for_each(|budget| self.turn(*budget));
        // A budget that was there when the request came, and is not, was removed.
        waited_at.into_iter().filter(|budget| ledger.budget(*budget).is_none()).for_each(|budget| {
            self.forget(budget);
            self.let_pass(budget, now);
        });
        self.wake();
        let accounts = self.central_accounts(ledger);
        for account in &accounts {
            let shown =
                ledger.budget(account.budget()).and_then(|budget| budget.account(account.window().id));
            if let Some(shown) = shown
                && self.follow_view(account, &View::of(shown, self.session()), now) == Followed::ModeChanged
            {
                self.talk.lock().is_unsure_of(account.budget());
            }
        }
        accounts.iter().any(|account| account.is_closed() && !account.is_reported())
    }

    fn follow_view(&self, account: &Arc<Account>, view: &View, now: MonoTime) -> Followed {
        let followed = {
            let line = self.line.lock();
            account.follow(view, &|id| line.waits_at(id, account.budget()), now)
        };
        if account.is_closed() {
            self.closed.lock().insert(account.budget());
        } else {
            self.closed.lock().remove(&account.budget());
        }
        if account.is_short_of_room() || account.wants_mark() {
            self.low.push(Arc::clone(account));
        }
        followed
    }

    /// Now and then: finds what was granted in answers that never came, so that nothing is held by nobody (I5).
    fn look_for_strays(&self, ledger: &Ledger, now: MonoTime) {
        let Some(life) = ledger.session(self.session()) else { return };
        let Some(part) = self.part_to_search(life, now) else { return };
        if part.0 == Bound::Unbounded {
            let rounds = self.talk.lock().search.rounds;
            self.forget_some_of_the_gone(rounds, ledger);
        }
        self.finished.lock().extract_if(part, |spot, _| !life.holds.contains(spot)).for_each(drop);
        for (budget, window) in life.holds.range(part) {
            let Some(found) = ledger.budget(*budget) else { continue };
            let Some(shown) = found.account(*window) else { continue };
            let view = View::of(shown, self.session());
            let known = self.account_of(*budget, *window).or_else(|| self.finished_account(*budget, *window));
            let known = known.map(|account| account.granted());
            if view.granted > known.unwrap_or_default() {
                if found.next().is_some_and(|next| next.window().id == *window) {
                    self.learn_ahead(*budget, &view, now);
                } else {
                    let shown = found.current().window();
                    let is_open = shown.id == *window && !self.has_turned_since(*budget, shown);
                    self.adopt(*budget, &view, is_open, now);
                }
            }
        }
    }

    /// What is to be searched now, if it is time.
    fn part_to_search(&self, life: &Session, now: MonoTime) -> Option<(Bound<Spot>, Bound<Spot>)> {
        let search = &mut self.talk.lock().search;
        let parts = u32::try_from(life.holds.len() / SEARCHED_AT_ONCE).unwrap_or(u32::MAX).saturating_add(1);
        if now.since(search.last) < SEARCH_EVERY / parts {
            return None;
        }
        search.last = now;
        let from = search.after.map_or(Bound::Unbounded, Bound::Excluded);
        if from == Bound::Unbounded {
            search.rounds = search.rounds.wrapping_add(1);
        }
        search.after = life.holds.range((from, Bound::Unbounded)).nth(SEARCHED_AT_ONCE - 1).copied();
        Some((from, search.after.map_or(Bound::Unbounded, Bound::Included)))
    }

    fn finished_account(&self, budget: BudgetId, window: WindowId) -> Option<Arc<Account>> {
        self.finished.lock().get(&(budget, window)).cloned()
    }

    fn adopt(&self, budget: BudgetId, view: &View, is_open: bool, now: MonoTime) {
        if is_open {
            self.learn(budget, view, now);
            self.talk.lock().is_unsure_of(budget);
        } else {
            let account = self.retired_account(budget, view.window);
            let _over = account.follow(view, &|_| false, now);
            account.end();
        }
    }

    /// Accounts that are closed here, or should be. Called for each entry of the log: it walks over the smaller of what is
    /// active here and what is in central mode anywhere.
    fn central_accounts(&self, ledger: &Ledger) -> Vec<Arc<Account>> {
        let active = self.active.lock();
        let central = ledger.central();
        let closed = self.closed.lock();
        let concerned: BTreeSet<BudgetId> = if active.len() < central.len() {
            active.keys().filter(|budget| central.contains(budget)).copied().collect()
        } else {
            central.iter().filter(|budget| active.contains_key(budget)).copied().collect()
        };
        concerned.union(&closed).filter_map(|budget| active.get(budget)).cloned().collect()
    }

    /// What is to be said now, if anything: what was spent and given back if `is_due` or something is asked for.
    #[must_use]
    pub fn speech(&self, ledger: &Ledger, is_due: bool, now: MonoTime) -> Option<Speech> {
        self.wake();
        let mut talk = self.talk.lock();
        self.just_turned().for_each(|budget| talk.turned(budget));
        // In the name of a session that is over, nothing is asked for any more; what is left is reported.
        let asks = if self.is_open() { self.asks(&mut talk, ledger, now) } else { Vec::new() };
        let is_report = is_due || (!asks.is_empty() && self.has_few());
        let reports =
            if is_report { self.reports(now) } else { self.reports_of(asks.iter().map(|ask| ask.budget)) };
        let overspent = if is_report { self.overdrafts().untold() } else { Vec::new() };
        if reports.is_empty() && asks.is_empty() && overspent.is_empty() {
            return None;
        }
        for ask in &asks {
            // Noted before it is heard: a replica may show that the mode has changed since, before the answer comes.
            talk.told.insert(ask.budget, Some(ask.places.clone()));
        }
        talk.sequence += 1;
        let sync = Sync {
            session: self.session(),
            sequence: talk.sequence,
            // Known to whoever sends it.
            generation: 0,
            reports: reports.iter().map(report).collect(),
            asks,
            overspent,
        };
        Some(Speech { sync, reports, is_report })
    }

    /// Whether it is time to report again: `every` after the last report.
    #[must_use]
    pub fn is_report_due(&self, now: MonoTime, every: Duration) -> bool {
        now.since(self.talk.lock().last_report) >= every
    }

    /// The ledger has heard a speech that was sent at `sent`, and gave these answers.
    pub fn heard(&self, speech: &Speech, answers: &[Answer], sent: MonoTime, now: MonoTime) {
        {
            let mut talk = self.talk.lock();
            if speech.is_report {
                talk.last_report = sent;
            }
            talk.told.retain(|_, places| places.as_ref().is_none_or(|places| !places.is_empty()));
        }
        self.reported(&speech.reports, sent);
        self.overdrafts().told(&speech.sync.overspent);
        for answer in answers {
            match answer {
                Answer::Holds { budget, view, valid_for, .. } if is_ahead(view, *valid_for) => {
                    let account = self.learn_ahead(*budget, view, now);
                    account.is_good_until(Account::end_of(*valid_for, sent));
                }
                Answer::Holds { budget, view, .. } if self.has_turned_since(*budget, view.window) => {
                    self.adopt(*budget, view, false, now);
                    self.talk.lock().is_unsure_of(*budget);
                }
                Answer::Holds { budget, view, valid_for, proves_from } => {
                    let account = self.learn(*budget, view, now);
                    account.is_good_until(Account::end_of(*valid_for, sent));
                    self.prove_from(*budget, (sent, now), (view.window.id, *proves_from));
                }
                Answer::WindowOver { budget, current } => {
                    self.log_time_is(current.id.start());
                    self.window_is(*budget, current.id);
                    self.talk.lock().is_unsure_of(*budget);
                }
                // Who waits for it goes on once this node's replica lacks it too: until then it would be let in as before.
                Answer::UnknownBudget { budget } => self.forget(*budget),
            }
        }
    }

    /// Nobody knows whether a speech was heard: the next one says it again.
    pub fn unheard(&self, speech: &Speech) {
        let mut talk = self.talk.lock();
        speech.sync.asks.iter().for_each(|ask| talk.is_unsure_of(ask.budget));
    }

    fn learn(&self, budget: BudgetId, view: &View, now: MonoTime) -> Arc<Account> {
        let account = self.account_of(budget, view.window.id);
        let account = account.unwrap_or_else(|| self.open(budget, view.window));
        let _told_by_an_answer = self.follow_view(&account, view, now);
        if account.wakes() {
            self.waking.push(Arc::clone(&account));
        }
        self.low.push(Arc::clone(&account));
        account
    }

    /// What was sent at an instant has been heard, as is known now: a round from `from` on shows something about everyone
    /// who had come by then, whether the speech mentioned them or not.
    fn prove_from(&self, budget: BudgetId, (sent, now): (MonoTime, MonoTime), from: (WindowId, Round)) {
        let mut line = self.line.lock();
        for ticket in line.tickets.iter_mut().filter(|ticket| ticket.is_at(budget)) {
            let is_known = ticket.proves_from.is_some_and(|(window, _)| window == from.0);
            if ticket.since <= sent && !is_known {
                ticket.proves_from = Some(from);
                ticket.heard_at = Some(now);
            }
        }
    }

    fn asks(&self, talk: &mut Talk, ledger: &Ledger, now: MonoTime) -> Vec<Ask> {
        let (mut asks, waited_at) = {
            let line = self.line.lock();
            (Asker { wallet: self, ledger, line: &line, now }.asks(talk), line.budgets())
        };
        asks.extend(Forward { wallet: self, ledger, waited_at: &waited_at, now }.asks(&mut talk.looked));
        asks
    }
}

/// Whether a grant is of a window that had not begun when it was made: it is good for longer than the window lasts.
fn is_ahead(view: &View, valid_for: Span) -> bool {
    view.window.end.is_some_and(|end| valid_for > end.since(view.window.id.start()))
}

fn report((account, statement): &(Arc<Account>, Statement)) -> SpendingReport {
    SpendingReport {
        budget: account.budget(),
        window: account.window().id,
        used: statement.used,
        returned: statement.returned,
        overrun: statement.overrun,
        heard: statement.heard,
    }
}
