//! A ledger, its nodes, the messages on their way, and the truth that nobody in the cluster knows.

use crate::node::{BUDGET, Node, Own, Request};
use quorate_domain::{Amount, BootId, LogTime, NodeId, PlaceId, SessionId, Subject, Unit, WindowId};
use quorate_ledger::*;
use std::collections::BTreeMap;

const LINE_MAX: usize = 6;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// It is heard, and its answer is lost. A copy may come later.
    AnswerLost,
    /// It is heard, and its answer is on its way for a while: others may overtake it.
    AnswerLate,
    /// It is not heard now, and perhaps later.
    Late,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A request comes that has to wait.
    Come { node: usize, need: u64 },
    /// A node asks for all that wait, and for this much beyond.
    Ask { node: usize, greed: u64, fate: Fate },
    /// A node waits no longer for silent holders, or does again.
    Hurry { node: usize },
    /// The patience of a node's first request that had any is over.
    LastCall { node: usize },
    /// A node's first request gives up.
    Leave { node: usize },
    /// A node looks at its replica.
    Look { node: usize },
    /// A node serves one that waits.
    Serve { node: usize },
    /// A node reserves from its grant, after raising its watermark by `headroom` beyond.
    Reserve { node: usize, size: u64, headroom: u64 },
    /// A request of a node ends, and its provider bills this much of what was reserved.
    Settle { node: usize, spent: u64 },
    /// A provider bills more than was reserved; the journal holds it before anybody hears of the end.
    Overrun { node: usize, size: u64 },
    /// A node without a quorum spends what nobody granted; its journal holds it before.
    Overspend { node: usize, size: u64 },
    /// A node reports, and answers a round.
    Report { node: usize, fate: Fate },
    /// An old message arrives again.
    Redeliver { which: usize },
    /// An answer arrives that was on its way for a while.
    Hear { which: usize },
    /// The opening of a session arrives again, perhaps of an earlier life.
    Reopen { which: usize },
    /// A node gives back what is idle.
    Return { node: usize },
    /// A node dies and comes back with its journal. Providers bill all that was under way.
    Restart { node: usize },
    /// A node dies and its journal is gone.
    LoseDisk { node: usize },
    /// A node that lives is declared dead.
    Expire { node: usize },
    /// Log time passes.
    Pass { millis: u64 },
    /// The limit is raised.
    Raise { by: u64 },
}

/// An answer on its way, and the asks it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Late {
    session: SessionId,
    asks: Vec<Ask>,
    answers: Vec<Answer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    at: u64,
    kind: Kind,
    limit: u64,
    pub(crate) nodes: Vec<Node>,
    copies: Vec<Sync>,
    late: Vec<Late>,
    openings: Vec<OpenSession>,
    /// What providers billed, window by window: the truth.
    billed: BTreeMap<WindowId, u64>,
    /// The part of it beyond what was reserved.
    overran: BTreeMap<WindowId, u64>,
    /// The part of it for requests whose end no journal knows of.
    cut_off: BTreeMap<WindowId, u64>,
    /// Whether a disk was lost or a session ended by decree, and with it perhaps the only word of an overrun.
    lost_a_word: bool,
    /// The first promise that was found broken.
    broken: Option<String>,
}

/// What holds, or which promise is broken.
pub(crate) type Holds = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Holds {
    if holds { Ok(()) } else { Err(what()) }
}

impl World {
    pub(crate) fn new(kind: Kind, limit: u64, n_nodes: usize) -> Self {
        let mut world = Self {
            ledger: Ledger::default(),
            at: 1,
            kind,
            limit,
            nodes: (0..n_nodes).map(|_| Node::default()).collect(),
            copies: vec![],
            late: vec![],
            openings: vec![],
            billed: BTreeMap::new(),
            overran: BTreeMap::new(),
            cut_off: BTreeMap::new(),
            lost_a_word: false,
            broken: None,
        };
        world.raise(0);
        (0..n_nodes).for_each(|node| world.open(node, Evidence::Intact { generation: 1, marks: vec![] }));
        world
    }

    pub(crate) fn take(&mut self, step: &Step) {
        match *step {
            Step::Come { node, need } => self.come(node, need),
            Step::Ask { node, greed, fate } => self.ask(node, greed, fate),
            Step::Hurry { node } => self.nodes[node].hurries ^= true,
            Step::LastCall { node } => {
                let mut waiting = self.nodes[node].line.iter_mut();
                waiting
                    .find(|request| !request.is_last_call)
                    .into_iter()
                    .for_each(|it| it.is_last_call = true);
            }
            Step::Leave { node } => self.nodes[node].leave(),
            Step::Look { node } => self.nodes[node].look(&self.ledger),
            Step::Serve { node } => self.nodes[node].serve(),
            Step::Reserve { node, size, headroom } => self.nodes[node].reserve(size, headroom),
            Step::Settle { node, spent } => self.settle(node, spent),
            Step::Overrun { node, size } => self.overrun(node, size),
            Step::Overspend { node, size } => self.nodes[node].overspent += size,
            Step::Report { node, fate } => self.report(node, fate),
            Step::Redeliver { which } => self.redeliver(which),
            Step::Hear { which } => self.hear(which),
            Step::Reopen { which } => self.reopen(which),
            Step::Return { node } => self.nodes[node].accounts.values_mut().for_each(|own| own.give_back()),
            Step::Restart { node } => self.restart(node),
            Step::LoseDisk { node } => self.lose_disk(node),
            Step::Expire { node } => self.expire(node),
            Step::Pass { millis } => self.at += millis,
            Step::Raise { by } => self.raise(by),
        }
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let before = self.ledger.clone();
        let outcome = self.ledger.apply(LogTime::from_millis(self.at), command);
        let is_balanced = self.ledger.validate().map_err(|violation| format!("I1: {violation}"));
        let holds = is_balanced.and_then(|()| check_that_nothing_decreases(&before, &self.ledger));
        self.broken = self.broken.take().or(holds.err());
        outcome
    }

    fn raise(&mut self, by: u64) {
        self.limit += by;
        let subject = Subject::User("ann".parse().unwrap());
        let spec = BudgetSpec {
            subject,
            unit: Unit::Tokens,
            kind: self.kind.clone(),
            limit: Amount::new(self.limit),
            auto_resolve: AutoResolve::Never,
            reserve: Reserve::Bound,
        };
        self.apply(Command::PutBudget(PutBudget { spec, expected: Expected::Any }));
    }

    fn open(&mut self, node: usize, evidence: Evidence) {
        self.nodes[node].boot += 1;
        let boot = BootId::new(self.nodes[node].boot);
        let id = NodeId::new(node as u64);
        let open = OpenSession { node: id, boot, previous: self.ledger.latest_session(id), evidence };
        self.openings.push(open.clone());
        let Outcome::SessionOpened { session } = self.apply(Command::OpenSession(open)) else { panic!() };
        self.nodes[node] = self.nodes[node].reborn(session);
    }

    fn come(&mut self, node: usize, need: u64) {
        let unreserved = self.unreserved();
        if self.nodes[node].line.len() < LINE_MAX {
            self.nodes[node].come(need, unreserved);
        }
    }

    fn ask(&mut self, node: usize, greed: u64, fate: Fate) {
        let ask = self.nodes[node].ask(greed);
        let sync = self.nodes[node].sync(vec![ask.clone()]);
        let Some(answers) = self.send(node, sync, fate) else { return };
        self.nodes[node].heard(&ask, &answers[0]);
    }

    fn report(&mut self, node: usize, fate: Fate) {
        let sync = self.nodes[node].sync(vec![]);
        self.send(node, sync, fate);
    }

    fn send(&mut self, node: usize, sync: Sync, fate: Fate) -> Option<Vec<Answer>> {
        self.copies.push(sync.clone());
        if fate == Fate::Late {
            return None;
        }
        let (session, asks) = (sync.session, sync.asks.clone());
        match self.apply(Command::Sync(sync)) {
            Outcome::Synced { answers } => match fate {
                Fate::Answered => return Some(answers),
                Fate::AnswerLate => self.late.push(Late { session, asks, answers }),
                Fate::AnswerLost | Fate::Late => {}
            },
            Outcome::Fenced if self.was_expired(session) => {
                if fate == Fate::Answered {
                    self.restart(node);
                }
            }
            told @ (Outcome::Done
            | Outcome::BudgetStored { .. }
            | Outcome::SessionOpened { .. }
            | Outcome::Fenced
            | Outcome::Rejected(_)) => {
                self.break_promise(format!("I4: an honest node is told {told:?}"));
            }
        }
        None
    }

    /// How many messages and answers may still arrive.
    pub(crate) fn on_their_way(&self) -> (usize, usize) {
        (self.copies.len(), self.late.len())
    }

    fn break_promise(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    fn hear(&mut self, which: usize) {
        if self.late.is_empty() {
            return;
        }
        let Late { session, asks, answers } = self.late.remove(which % self.late.len());
        let Some(node) = self.nodes.iter_mut().find(|node| node.session == session) else { return };
        for (ask, answer) in asks.iter().zip(&answers) {
            node.heard(ask, answer);
        }
    }

    /// It goes on, until it hears of it. What it holds is in doubt.
    fn expire(&mut self, node: usize) {
        self.lost_a_word = true;
        let session = self.nodes[node].session;
        if self.is_live(session) {
            self.apply(Command::ExpireSession { session });
        }
    }

    pub(crate) fn is_live(&self, session: SessionId) -> bool {
        self.ledger.session(session).is_some_and(|life| life.state == SessionState::Live)
    }

    fn was_expired(&self, session: SessionId) -> bool {
        self.lost_a_word && !self.is_live(session)
    }

    fn redeliver(&mut self, which: usize) {
        if let Some(sync) = self.copies.get(which % self.copies.len().max(1)).cloned() {
            self.apply(Command::Sync(sync));
        }
    }

    /// Whatever it says, it ends no life that has begun since it was made.
    fn reopen(&mut self, which: usize) {
        let open = self.openings[which % self.openings.len()].clone();
        let latest = self.ledger.latest_session(open.node);
        let is_of_boot = self.ledger.session(latest).is_some_and(|life| life.boot == open.boot);
        let is_retry = is_of_boot && self.is_live(latest);
        let expected = if is_retry {
            Outcome::SessionOpened { session: latest }
        } else {
            Outcome::Rejected(Rejection::LaterSession { node: open.node, latest })
        };
        let mut unchanged = self.ledger.clone();
        let answer = self.apply(Command::OpenSession(open));
        unchanged.apply(LogTime::from_millis(self.at), Command::Tick);
        if answer != expected || unchanged != self.ledger {
            self.break_promise("G1: what comes from an earlier life says nothing about this one".to_owned());
        }
    }

    fn settle(&mut self, node: usize, spent: u64) {
        if let Some((window, billed)) = self.nodes[node].settle(spent) {
            *self.billed.entry(window).or_default() += billed;
        }
    }

    fn overrun(&mut self, node: usize, size: u64) {
        let life = &mut self.nodes[node];
        let (Some(window), Some(own)) = (life.window, life.own()) else { return };
        if own.granted == 0 {
            // Nothing was reserved, so nobody was sent to a provider.
            return;
        }
        own.overrun += size;
        *self.billed.entry(window).or_default() += size;
        *self.overran.entry(window).or_default() += size;
    }

    fn restart(&mut self, node: usize) {
        self.die(node);
        let mut marks = self.nodes[node].marks();
        let generation = self.nodes[node].boot + 1;
        // Every other journal is told in two parts, the first of them twice.
        let rest = if generation.is_multiple_of(2) {
            marks.split_off(marks.len().div_ceil(2))
        } else {
            std::mem::take(&mut marks)
        };
        let (id, boot) = (NodeId::new(node as u64), BootId::new(generation));
        for _ in 0..2 {
            self.apply(Command::TellMarks(TellMarks { node: id, boot, marks: marks.clone() }));
        }
        self.open(node, Evidence::Intact { generation, marks: rest });
    }

    fn lose_disk(&mut self, node: usize) {
        self.die(node);
        self.lost_a_word = true;
        // What it had not told is lost with the disk; it goes on from there.
        self.nodes[node].overspent = self.told_as_overspent(node);
        self.open(node, Evidence::Lost);
    }

    fn die(&mut self, node: usize) {
        for (window, own) in &self.nodes[node].accounts {
            *self.billed.entry(*window).or_default() += own.in_flight();
            *self.cut_off.entry(*window).or_default() += own.in_flight();
        }
    }

    // The truth.

    pub(crate) fn is_all_billed(&self) -> bool {
        self.billed.values().sum::<u64>() == self.limit
    }

    pub(crate) fn in_doubt(&self) -> Amount {
        self.ledger.report(BUDGET).unwrap().in_doubt
    }

    pub(crate) fn crash_charged(&self) -> Amount {
        self.ledger.report(BUDGET).unwrap().crash_charged
    }

    /// What is in the pool, or with a live session and neither spent, nor reserved, nor granted to a request by name; less what
    /// was billed beyond all that, which has to come back first.
    fn unreserved(&self) -> u64 {
        let report = self.ledger.report(BUDGET).unwrap();
        let account = self.ledger.budget(BUDGET).unwrap().account(report.window.id);
        let at = |node| account.map_or(0, |account| self.unreserved_at(node, account));
        let there = report.free.get() + self.nodes.iter().map(at).sum::<u64>();
        there.saturating_sub(report.excess.get())
    }

    fn unreserved_at(&self, node: &Node, account: &Account) -> u64 {
        let Some(holding) = account.holding(node.session).filter(|_| self.is_live(node.session)) else {
            return 0;
        };
        let gone = node.accounts.get(&account.window().id).map_or(0, Own::gone);
        let named =
            node.line.iter().filter(|request| self.is_named(node, request)).map(|request| request.need);
        (holding.granted.get() - holding.returned.get()).saturating_sub(gone + named.sum::<u64>())
    }

    /// What those who stand before a request in line leave of what is unreserved, each taking all it needs or nothing.
    fn left_for(&self, session: SessionId, id: PlaceId, unreserved: u64) -> u64 {
        let account = self.ledger.budget(BUDGET).unwrap().current();
        let is_silent = |session| account.central().is_some_and(|central| central.is_silent(session));
        let calls: Vec<_> =
            account.line().filter(|(session, it)| it.is_last_call && !is_silent(*session)).collect();
        let itself = calls.iter().position(|(it, place)| (*it, place.id) == (session, id));
        let own = |(it, place): &(SessionId, Place)| *it == session && place.id < id;
        // One that was not mentioned stands behind those of its node that were.
        let behind = || Some(calls.iter().rposition(own)? + 1);
        let count = itself.or_else(behind).unwrap_or(0);
        let take =
            |left: u64, (_, place): &(SessionId, Place)| left.checked_sub(place.need.get()).unwrap_or(left);
        calls[..count].iter().fold(unreserved, take)
    }

    /// Whether a request was granted what it needs by name, whether its node knows it already or not.
    fn is_named(&self, node: &Node, request: &Request) -> bool {
        let account = self.ledger.budget(BUDGET).unwrap().current();
        let holding = account.holding(node.session).filter(|_| account.is_central());
        let is_current = node.window == Some(account.window().id);
        holding.is_some_and(|holding| holding.served.contains_key(&request.id))
            || is_current && node.is_designated(request.id)
    }

    pub(crate) fn check(&mut self) -> Holds {
        self.broken.clone().map_or(Ok(()), Err)?;
        self.check_bill()?;
        let unreserved = self.unreserved();
        let mut nodes = std::mem::take(&mut self.nodes);
        for node in &mut nodes {
            for request in &mut node.line {
                request.least = request.least.min(self.left_for(node.session, request.id, unreserved));
            }
        }
        self.nodes = nodes;
        self.check_denials()
    }

    /// I3: what was billed in a window never exceeds the limit but by overrun, and what was billed within reservations
    /// never exceeds what the ledger counts as gone. I1: nor is more granted than there is.
    fn check_bill(&self) -> Holds {
        let budget = self.ledger.budget(BUDGET).unwrap();
        for account in budget.accounts() {
            let excess = account.excess(Amount::new(self.limit));
            let beyond = account.overrun().saturating_add(account.overspend());
            ensure(excess <= beyond, || format!("I1: {excess} more granted than there is"))?;
        }
        for (window, billed) in &self.billed {
            let billed = billed - self.overran.get(window).copied().unwrap_or(0);
            ensure(billed <= self.limit, || format!("I3: {billed} billed of {}", self.limit))?;
            if let Some(account) = budget.account(*window) {
                let gone = account.used().saturating_add(account.outstanding()).get();
                ensure(billed <= gone, || format!("I3: {billed} billed, {gone} accounted for"))?;
            }
        }
        Ok(())
    }

    /// G2: whoever is denied without a doubt needed more than was unreserved at an instant while it waited.
    fn check_denials(&self) -> Holds {
        for (node, request) in self.waiting() {
            let (prospect, least, need) = (self.prospect(node, request), request.least, request.need);
            ensure(!is_denial(prospect) || least < need, || {
                format!("G2: {prospect:?} of {need}, but always {least}")
            })?;
        }
        Ok(())
    }

    /// Requests that wait at nodes which may spend, but for those that were granted what they need by name.
    fn waiting(&self) -> impl Iterator<Item = (&Node, &Request)> {
        let nodes = self.nodes.iter().filter(|node| self.is_live(node.session));
        let line = nodes.flat_map(|node| node.line.iter().map(move |request| (node, request)));
        line.filter(|(node, request)| !self.is_named(node, request))
    }

    fn prospect(&self, node: &Node, request: &Request) -> Prospect {
        let (session, id, need) = (node.session, request.id, Amount::new(request.need));
        let standing = |(window, proves_from)| Standing { window, proves_from, session, id };
        let standing = request.proves_from.map(standing);
        self.ledger.prospect(BUDGET, need, Patience::default(), standing).unwrap().0
    }

    /// Why requests would be turned away now.
    pub(crate) fn denials(&self) -> impl Iterator<Item = Prospect> {
        let prospects = self.waiting().map(|(node, request)| self.prospect(node, request));
        prospects.filter(|prospect| is_denial(*prospect))
    }

    /// I5: when everyone has reported and returned, what is not free is what was billed, or charged for the dead.
    pub(crate) fn check_quiescence(&mut self) -> Holds {
        let n_nodes = self.nodes.len();
        for node in 0..n_nodes {
            while !self.nodes[node].line.is_empty() {
                self.nodes[node].leave();
            }
            while let Some((window, billed)) = self.nodes[node].settle(0) {
                *self.billed.entry(window).or_default() += billed;
            }
        }
        // The first word empties the line, the second returns what the first was answered with.
        for node in (0..n_nodes).chain(0..n_nodes) {
            self.ask(node, 0, Fate::Answered);
            self.nodes[node].accounts.values_mut().for_each(|own| own.give_back());
            self.report(node, Fate::Answered);
        }
        self.check()?;
        self.check_that_all_is_accounted_for()
    }

    fn check_that_all_is_accounted_for(&self) -> Holds {
        let report = self.ledger.report(BUDGET).unwrap();
        let of = |sums: &BTreeMap<WindowId, u64>| sums.get(&report.window.id).copied().unwrap_or(0);
        let (overran, cut_off) = (of(&self.overran), of(&self.cut_off));
        let billed = of(&self.billed) - overran;
        let is_all_returned = report.outstanding == report.in_doubt;
        ensure(is_all_returned, || "I5: somebody who lives holds something".to_owned())?;
        let charged = report.used.get() + report.in_doubt.get();
        ensure(charged >= billed, || format!("I5: {charged} charged, {billed} billed"))?;
        if report.in_doubt.is_zero() {
            let is_counted = self.lost_a_word || report.overrun.get() == overran;
            ensure(is_counted, || "G1: overrun is counted, whoever died".to_owned())?;
            let is_explained = report.used.get() + cut_off == billed + report.crash_charged.get();
            ensure(is_explained, || "I6: more is charged than was billed or crashed".to_owned())?;
        }
        self.check_overspending(report.overspend)?;
        let free = self.limit.saturating_sub(charged + report.overrun.get() + report.overspend.get());
        ensure(report.free.get() == free, || format!("I1: {} are free, not {free}", report.free))
    }
}

impl World {
    fn told_as_overspent(&self, node: usize) -> u64 {
        self.ledger.overspent_by(NodeId::new(node as u64)).map(|told| told.total.get()).sum()
    }

    /// G1 and I6: all that was overspent is counted, once.
    fn check_overspending(&self, in_the_open_window: Amount) -> Holds {
        let told: u64 = (0..self.nodes.len()).map(|node| self.told_as_overspent(node)).sum();
        let overspent: u64 = self.nodes.iter().map(|node| node.overspent).sum();
        ensure(told == overspent, || format!("G1: {overspent} overspent, {told} told"))?;
        let counted = in_the_open_window.get();
        let is_whole = self.kind == Kind::Lifetime;
        ensure(counted <= told && (counted == told || !is_whole), || {
            format!("I6: {told} told, {counted} counted")
        })
    }
}

fn is_denial(prospect: Prospect) -> bool {
    match prospect {
        Prospect::TooBig | Prospect::Spent => true,
        Prospect::InDoubt | Prospect::Open => false,
        Prospect::Held { doubtful, lost } => doubtful.saturating_add(lost).is_zero(),
    }
}

/// I4.
fn check_that_nothing_decreases(before: &Ledger, after: &Ledger) -> Holds {
    let is_less = |old: &Holding, new: &Holding| {
        new.granted < old.granted
            || new.used < old.used
            || new.returned < old.returned
            || new.heard < old.heard
    };
    for account in before.budgets().flat_map(|(_, budget)| budget.accounts()) {
        let now = after.budget(BUDGET).and_then(|budget| budget.account(account.window().id));
        for (session, old) in account.holdings() {
            let new = now.and_then(|now| now.holding(session));
            ensure(!new.is_some_and(|new| is_less(old, new)), || format!("I4: {session}"))?;
        }
    }
    let latest =
        |ledger: &Ledger| ledger.sessions().map(|(session, _)| session).max().unwrap_or(SessionId::new(0));
    let is_new = |session: &SessionId| before.session(*session).is_none();
    let mut opened = after.sessions().map(|(session, _)| session).filter(is_new);
    ensure(opened.all(|session| session > latest(before)), || "I4: session ids rise".to_owned())
}
