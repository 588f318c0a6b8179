//! What the rules are told with: a ledger, and sessions that speak to it.

use quorate_domain::{
    Amount, BootId, BudgetId, LogTime, NodeId, PlaceId, Round, SessionId, Subject, Unit, WindowId,
};
use quorate_ledger::*;
use std::collections::BTreeMap;

pub(crate) const BUDGET: BudgetId = BudgetId::new(1);

pub(crate) struct Script {
    pub(crate) ledger: Ledger,
    pub(crate) at: u64,
    unit: Unit,
    /// The number of each session's latest message.
    sequences: BTreeMap<SessionId, u64>,
    last_place: u64,
    /// How far the journals of all nodes have come.
    pub(crate) journal: u64,
}

impl Script {
    pub(crate) fn with_budget(limit: u64, kind: Kind) -> Self {
        Self::with_unit(limit, Unit::Tokens, kind)
    }

    pub(crate) fn with_unit(limit: u64, unit: Unit, kind: Kind) -> Self {
        let mut script = Self::empty(1_000, unit);
        script.put(limit, kind, Expected::Absent);
        script
    }

    pub(crate) fn empty(at: u64, unit: Unit) -> Self {
        let (ledger, sequences) = (Ledger::default(), BTreeMap::new());
        Self { ledger, at, unit, sequences, last_place: 1_000, journal: 0 }
    }

    /// A budget for ever, and sessions of so many nodes.
    pub(crate) fn with_sessions<const N: usize>(limit: u64) -> (Self, [SessionId; N]) {
        let mut script = Self::with_budget(limit, Kind::Lifetime);
        let sessions = std::array::from_fn(|node| script.open(node as u64 + 1, 1, fresh()));
        (script, sessions)
    }

    pub(crate) fn apply(&mut self, command: Command) -> Outcome {
        let outcome = self.ledger.apply(LogTime::from_millis(self.at), command);
        self.ledger.validate().unwrap();
        outcome
    }

    pub(crate) fn put(&mut self, limit: u64, kind: Kind, expected: Expected) -> Outcome {
        let subject = Subject::Team("search".parse().unwrap());
        let spec = BudgetSpec {
            subject,
            unit: self.unit,
            kind,
            limit: Amount::new(limit),
            auto_resolve: AutoResolve::Never,
            reserve: Reserve::Bound,
        };
        self.apply(Command::PutBudget(PutBudget { spec, expected }))
    }

    /// Sets the limit of a budget for ever.
    pub(crate) fn limit(&mut self, limit: u64) {
        assert!(matches!(self.put(limit, Kind::Lifetime, Expected::Any), Outcome::BudgetStored { .. }));
    }

    /// What a node that begins a new life says, made of what the ledger shows now.
    pub(crate) fn opening(&self, node: u64, boot: u64, evidence: Evidence) -> OpenSession {
        let (node, boot) = (NodeId::new(node), BootId::new(boot));
        OpenSession { node, boot, previous: self.ledger.latest_session(node), evidence }
    }

    pub(crate) fn open(&mut self, node: u64, boot: u64, evidence: Evidence) -> SessionId {
        let open = self.opening(node, boot, evidence);
        match self.apply(Command::OpenSession(open)) {
            Outcome::SessionOpened { session } => session,
            other => panic!("{other:?}"),
        }
    }

    // What sessions say.

    pub(crate) fn next_sequence(&mut self, session: SessionId) -> u64 {
        let sequence = self.sequences.entry(session).or_default();
        *sequence += 1;
        *sequence
    }

    pub(crate) fn sync(
        &mut self,
        session: SessionId,
        reports: Vec<SpendingReport>,
        asks: Vec<Ask>,
    ) -> Outcome {
        let sequence = self.next_sequence(session);
        self.apply(Command::Sync(Sync {
            session,
            sequence,
            generation: self.journal,
            reports,
            asks,
            overspent: vec![],
        }))
    }

    pub(crate) fn say(&mut self, session: SessionId, ask: Ask) -> Answer {
        answer(self.sync(session, vec![], vec![ask]))
    }

    /// One new request that needs `need`; earlier ones of the session are not mentioned any more.
    pub(crate) fn ask(&mut self, session: SessionId, need: u64, want: u64) -> Answer {
        self.last_place += 1;
        let place = place(self.last_place, need);
        self.say(session, Ask { want: Amount::new(want), ..waits(&[place]) })
    }

    pub(crate) fn report(&mut self, session: SessionId, used: u64, returned: u64) -> Outcome {
        let report = self.spent(used, returned);
        self.sync(session, vec![report], vec![])
    }

    /// Reports and answers the round under way.
    pub(crate) fn answer(&mut self, session: SessionId, used: u64, returned: u64) {
        let heard = Heard { round: self.round(), granted: Amount::new(self.granted(session)) };
        let report = SpendingReport { heard: Some(heard), ..self.spent(used, returned) };
        self.sync(session, vec![report], vec![]);
    }

    pub(crate) fn spent(&self, used: u64, returned: u64) -> SpendingReport {
        spent(self.account().window().id, used, returned)
    }

    // What the ledger shows.

    pub(crate) fn account(&self) -> &Account {
        self.ledger.budget(BUDGET).unwrap().current()
    }

    pub(crate) fn is_central(&self) -> bool {
        assert_eq!(self.ledger.central().contains(&BUDGET), self.account().is_central());
        self.account().is_central()
    }

    pub(crate) fn round(&self) -> Round {
        self.account().round().unwrap()
    }

    pub(crate) fn view(&self, session: SessionId) -> View {
        View::of(self.account(), session)
    }

    pub(crate) fn served(&self, session: SessionId) -> Vec<u64> {
        self.view(session).served.iter().map(|(id, _)| id.get()).collect()
    }

    pub(crate) fn granted(&self, session: SessionId) -> u64 {
        self.view(session).granted.get()
    }

    /// The amounts used, outstanding and free.
    pub(crate) fn shape(&self) -> (u64, u64, u64) {
        let report = self.ledger.report(BUDGET).unwrap();
        (report.used.get(), report.outstanding.get(), report.free.get())
    }

    /// What is known of an instant after the beginning of a round: at most so much was unreserved, and who is doubtful.
    pub(crate) fn tally(&self, from: Round) -> Option<(u64, Vec<SessionId>)> {
        let shown = self.account().shown_from(from).next()?;
        let mut doubtful: Vec<_> = shown.doubtful().map(|(session, _)| session).collect();
        doubtful.sort();
        Some((shown.at_most.get(), doubtful))
    }

    pub(crate) fn prospect(&self, need: u64, from: Option<Round>) -> Prospect {
        // Nobody stands before a request that no session has mentioned.
        let (session, id) = (SessionId::new(u64::MAX), PlaceId::new(1));
        let window = self.account().window().id;
        let from = from.map(|proves_from| Standing { window, proves_from, session, id });
        self.ledger.prospect(BUDGET, Amount::new(need), Patience::default(), from).unwrap().0
    }
}

pub(crate) fn fresh() -> Evidence {
    Evidence::Intact { generation: 1, marks: vec![] }
}

pub(crate) fn place(id: u64, need: u64) -> Place {
    Place { id: PlaceId::new(id), need: Amount::new(need), most: Amount::new(need), is_last_call: false }
}

pub(crate) fn last_call(id: u64, need: u64) -> Place {
    Place { is_last_call: true, ..place(id, need) }
}

/// An ask for these requests and nothing beyond.
pub(crate) fn waits(places: &[Place]) -> Ask {
    Ask {
        budget: BUDGET,
        window: None,
        places: places.to_vec(),
        want: Amount::ZERO,
        urgency: Urgency::CanWait,
    }
}

/// The same, and proof is needed that nothing is left.
pub(crate) fn demands(places: &[Place]) -> Ask {
    Ask { urgency: Urgency::Proof, ..waits(places) }
}

pub(crate) fn spent(window: WindowId, used: u64, returned: u64) -> SpendingReport {
    SpendingReport {
        budget: BUDGET,
        window,
        used: Amount::new(used),
        returned: Amount::new(returned),
        overrun: Amount::ZERO,
        heard: None,
    }
}

pub(crate) fn answer(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Synced { mut answers } => answers.remove(0),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn granted(answer: &Answer) -> u64 {
    match answer {
        Answer::Holds { view, .. } => view.granted.get(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn proves_from(answer: &Answer) -> Round {
    match answer {
        Answer::Holds { proves_from, .. } => *proves_from,
        other => panic!("{other:?}"),
    }
}
