//! What the rules are told with: a wallet, the ledger it speaks to, and another session that takes and gives back.

use quorate_domain::{
    Amount, BootId, BudgetId, LogTime, MonoTime, NanoUsd, NodeId, PlaceId, SessionId, Subject, Tokens, Unit,
};
use quorate_ledger::*;
use quorate_wallet::{Charge, Cost, Reservation, Speech, Wallet};
use std::sync::Arc;

pub(crate) const TEAM: Charge =
    Charge { budget: BudgetId::new(1), unit: Unit::Tokens, reserve: Reserve::Bound };
pub(crate) const KEY: Charge =
    Charge { budget: BudgetId::new(2), unit: Unit::NanoUsd, reserve: Reserve::Bound };
/// Patience that does not end.
pub(crate) const LATER: MonoTime = MonoTime::NEVER;

pub(crate) fn cost(tokens: u64) -> Cost {
    Cost { tokens: Tokens::new(tokens), money: NanoUsd::new(tokens * 10) }
}

pub(crate) fn at(millis: u64) -> MonoTime {
    MonoTime::from_micros(millis * 1_000)
}

/// What the flusher does: writes every mark that is wanted.
pub(crate) fn flush(wallet: &Wallet, now: MonoTime) -> usize {
    let marks = wallet.marks(now);
    wallet.journalled(&marks, now);
    marks.lines.len()
}

/// Who is served, in order. Their reservations are kept.
pub(crate) fn serve(wallet: &Wallet, now: MonoTime) -> Vec<(PlaceId, Reservation)> {
    flush(wallet, now);
    wallet.serve(now)
}

pub(crate) fn ids(served: &[(PlaceId, Reservation)]) -> Vec<PlaceId> {
    served.iter().map(|(id, _)| *id).collect()
}

pub(crate) struct Cluster {
    pub(crate) ledger: Ledger,
    pub(crate) wallet: Wallet,
    pub(crate) other: SessionId,
    other_said: u64,
    log_time: u64,
    kind: Kind,
}

impl Cluster {
    /// A team's budget of tokens and a key's of money, with these limits.
    pub(crate) fn new(team: u64, key: u64, kind: Kind) -> Self {
        let (ledger, wallet) = (Ledger::default(), Wallet::new(SessionId::new(2)));
        let mut cluster = Self { ledger, wallet, other: SessionId::new(1), other_said: 0, log_time: 1, kind };
        cluster.limit(TEAM, team);
        cluster.limit(KEY, key);
        for node in [1, 2] {
            let evidence = Evidence::Intact { generation: 1, marks: vec![] };
            let (node, boot, previous) = (NodeId::new(node), BootId::new(node), SessionId::default());
            let open = OpenSession { node, boot, previous, evidence };
            cluster.apply(Command::OpenSession(open));
        }
        cluster
    }

    pub(crate) fn apply(&mut self, command: Command) -> Outcome {
        let outcome = self.ledger.apply(LogTime::from_millis(self.log_time), command);
        self.ledger.validate().unwrap();
        outcome
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.log_time += millis;
    }

    pub(crate) fn limit(&mut self, charge: Charge, limit: u64) {
        let subject = match charge.unit {
            Unit::Tokens => Subject::Team("search".parse().unwrap()),
            Unit::NanoUsd | Unit::Requests | Unit::Permits => Subject::User("ann".parse().unwrap()),
        };
        let spec = BudgetSpec {
            subject,
            unit: charge.unit,
            kind: self.kind.clone(),
            limit: Amount::new(limit),
            auto_resolve: AutoResolve::Never,
            reserve: Reserve::Bound,
        };
        let put = PutBudget { spec, expected: Expected::Any };
        assert!(
            matches!(self.apply(Command::PutBudget(put)), Outcome::BudgetStored { budget, .. } if budget == charge.budget)
        );
    }

    // What the wallet's node does.

    pub(crate) fn queue(&self, path: &[Charge], tokens: u64, now: MonoTime) -> PlaceId {
        self.wallet.queue(path.into(), cost(tokens), now, LATER)
    }

    /// Says what is to be said, and hears the answer. What was said.
    pub(crate) fn talk(&mut self, now: MonoTime) -> Option<Sync> {
        let speech = self.wallet.speech(&self.ledger, true, now)?;
        let answers = self.deliver(&speech);
        self.wallet.heard(&speech, &answers, now, now);
        Some(speech.sync)
    }

    pub(crate) fn deliver(&mut self, speech: &Speech) -> Vec<Answer> {
        match self.apply(Command::Sync(speech.sync.clone())) {
            Outcome::Synced { answers } => answers,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn follow(&self, now: MonoTime) -> bool {
        self.wallet.follow(&self.ledger, now)
    }

    /// A request comes, is put in line, granted what it needs, and served.
    pub(crate) fn run(&mut self, path: &[Charge], tokens: u64, now: MonoTime) -> Reservation {
        let id = self.queue(path, tokens, now);
        let mut served = vec![];
        while served.is_empty() {
            self.talk(now).expect("a request waits");
            served = serve(&self.wallet, now);
        }
        assert_eq!(ids(&served), [id]);
        served.remove(0).1
    }

    /// A request of the team that is put in line and costs nothing, but for a watermark with room for more.
    pub(crate) fn run_again(&mut self) {
        self.queue(&[TEAM], 10, at(1));
        serve(&self.wallet, at(1)).remove(0).1.cancel();
    }

    // What the other session does.

    fn other_says(&mut self, reports: Vec<SpendingReport>, asks: Vec<Ask>) {
        self.other_said += 1;
        let (session, sequence) = (self.other, self.other_said);
        let heard = self.apply(Command::Sync(Sync {
            session,
            sequence,
            generation: 0,
            reports,
            asks,
            overspent: vec![],
        }));
        assert!(matches!(heard, Outcome::Synced { .. }));
    }

    /// The other session has a request that needs so much, and no other.
    pub(crate) fn other_asks(&mut self, charge: Charge, need: u64) {
        let id = PlaceId::new(self.other_said + 1);
        let places =
            vec![Place { id, need: Amount::new(need), most: Amount::new(need), is_last_call: false }];
        let (budget, want, urgency) = (charge.budget, Amount::ZERO, Urgency::CanWait);
        self.other_says(vec![], vec![Ask { budget, window: None, places, want, urgency }]);
    }

    /// The other session has used and returned so much in all, and answers the round if one is under way.
    pub(crate) fn other_reports(&mut self, charge: Charge, used: u64, returned: u64) {
        let account = self.shown(charge);
        let granted = View::of(account, self.other).granted;
        let report = SpendingReport {
            budget: charge.budget,
            window: account.window().id,
            used: Amount::new(used),
            returned: Amount::new(returned),
            overrun: Amount::ZERO,
            heard: account.round().map(|round| Heard { round, granted }),
        };
        self.other_says(vec![report], vec![]);
    }

    // What is seen.

    pub(crate) fn shown(&self, charge: Charge) -> &Account {
        self.ledger.budget(charge.budget).unwrap().current()
    }

    pub(crate) fn account(&self, charge: Charge) -> Arc<quorate_wallet::Account> {
        self.wallet.account(charge.budget).unwrap()
    }

    pub(crate) fn free(&self, charge: Charge) -> u64 {
        self.account(charge).free().get()
    }

    pub(crate) fn returned(&self, charge: Charge) -> u64 {
        self.account(charge).statement().returned.get()
    }

    /// What of a budget is in the pool.
    pub(crate) fn pool(&self, charge: Charge) -> u64 {
        self.ledger.report(charge.budget).unwrap().free.get()
    }
}
