//! A small state as snapshots store it, with something in every part.

use super::super::Kind;
use super::samples::Samples;
use super::{catalogue, idempotency, ledger, nodes};
use crate::machine::{Command, Fingerprint, Frozen, OpId, Proposal, State};
use crate::{Batch, raft};
use quorate_catalog::KeyState;
use quorate_domain::{
    Amount, BootId, BudgetId, Calendar, ClusterId, KeyId, LogTime, NodeId, Period, PlaceId, Refill,
    SessionId, Subject, Unit, Weekday, WindowId,
};
use quorate_idempotency::Found;
use quorate_ledger::{
    Ask, AutoResolve, Budget, BudgetSpec, Command as Ledger, Evidence, Expected, Kind as BudgetKind, Mark,
    OpenSession, Overspent, Place, PutBudget, Reserve, Resolve, SessionState, SpendingReport, Sync, Urgency,
};

/// What is read is known by what it shows: how it came to be may change, its bytes may not.
pub(super) fn check(samples: &mut Samples) {
    let frozen: Frozen = samples.read("v1_state", Kind::State, || small().freeze().1.encode());
    let state = restored(28, &frozen);
    check_what_nodes_need(&state, 28);
    check_the_ledger(&state);
    check_the_records(&state);
}

fn restored(index: u64, frozen: &Frozen) -> State {
    let state = State::default();
    let meta = raft::SnapshotMeta { last_log_id: Some(log_id(index)), ..raft::SnapshotMeta::default() };
    state.restore(&meta, Frozen::decode(&frozen.encode()).unwrap());
    state
}

fn check_the_records(state: &State) {
    let records = state.idempotency.read();
    records.validate().unwrap();
    let found = idempotency::names().map(|name| records.look(&name, &idempotency::fingerprint(), &|_| true));
    let is_as_written = matches!(found, [Found::Kept(answer), Found::NotKept, Found::Unknown, Found::InFlight] if answer.status == 201);
    assert!(is_as_written, "{found:?}");
}

fn check_what_nodes_need(state: &State, index: u64) {
    assert_eq!(state.time(), LogTime::from_millis(2_500 * index));
    let history = state.history().unwrap();
    assert_eq!(history.applied, index);
    assert_ne!(history, Fingerprint { applied: index, ..Fingerprint::default() });
    let members = state.membership.read();
    let addresses: Vec<_> = members.iter().map(|(id, record)| (id.get(), record.address())).collect();
    assert_eq!((members.cluster(), addresses), (Some(ClusterId::new(0xC1)), vec![(1, "10.0.0.4:7001")]));
    drop(members);
    let catalog = state.catalog.read();
    assert!(catalog.foundation().is_some() && catalog.key(KeyId::new(1)).is_some());
    assert_eq!(catalog.digest("a key"), Some(catalogue::digest("a key")));
    let counts = [catalog.providers().len(), catalog.models().len(), catalog.routes().len()];
    let tenants = [catalog.organisations().len(), catalog.teams().len(), catalog.users().len()];
    assert_eq!((counts, tenants), ([1; 3], [1; 3]));
    let states = [17, 18, 19].map(|id| catalog.key(KeyId::new(id)).unwrap().state);
    let is_as_furnished =
        matches!(states, [KeyState::Active, KeyState::Rotating { .. }, KeyState::Revoked { .. }]);
    assert!(is_as_furnished, "{states:?}");
}

fn check_the_ledger(state: &State) {
    let ledger = state.ledger.read();
    ledger.validate().unwrap();
    let states = ledger.sessions().map(|(id, session)| (id.get(), session.state));
    let expected = [(1, SessionState::InDoubt), (2, SessionState::Frozen), (3, SessionState::Live)];
    assert_eq!(states.collect::<Vec<_>>(), expected);
    let report = ledger.report(BUDGET).unwrap();
    let sums =
        [report.used, report.outstanding, report.in_doubt, report.overrun, report.overspend, report.free];
    assert_eq!(sums.map(Amount::get), [20, 80, 80, 3, 7, 890]);
    assert!(ledger.budget(BUDGET).unwrap().current().is_central());
    assert_eq!(ledger.budgets().count(), 6);
    let ahead = ledger.budget(BY_THE_MINUTE).and_then(Budget::next).unwrap();
    assert_eq!((ahead.window().id, ahead.outstanding().get()), (NEXT_MINUTE, 64));
    let (session, amount) = (SessionId::new(1), Amount::ZERO);
    let (budget, window) = (BY_THE_MINUTE, THIS_MINUTE);
    let mark = Mark { session, budget, window, spent_bound: amount, settled: amount, overrun: amount };
    assert!(ledger.may_learn_from(NodeId::new(1), &mark), "a journal that was not heard");
    assert_eq!(ledger.budgets().filter_map(|(_, budget)| budget.origin()).count(), 1);
    assert_eq!(ledger.time_zones().count(), 1);
}

const BUDGET: BudgetId = BudgetId::new(1);
const BY_THE_MINUTE: BudgetId = BudgetId::new(4);
const THIS_MINUTE: WindowId = WindowId::beginning(LogTime::from_millis(0));
const NEXT_MINUTE: WindowId = WindowId::beginning(LogTime::from_millis(60_000));

fn log_id(index: u64) -> raft::LogId {
    raft::LogId::new(raft::LeaderId { term: 7, node_id: 3 }, index)
}

/// What the version that wrote the latest sample made of these commands.
fn small() -> State {
    let state = State::default();
    for (index, command) in (1..).zip(script()) {
        let origin = Some(OpId { boot: BootId::new(0xB007), sequence: index });
        let proposals = vec![Proposal { origin, command }].into();
        let at = LogTime::from_millis(2_500 * index);
        state.apply(log_id(index), &Batch { at, proposals });
    }
    state
}

fn script() -> Vec<Command> {
    let before = [
        Command::Membership(nodes::founding()),
        Command::Catalog(quorate_catalog::Command::Found(catalogue::founding())),
        Command::Catalog(catalogue::furnish()),
    ];
    let ledger = [puts(), openings(), spending()].concat();
    before.into_iter().chain(ledger.into_iter().map(Command::Ledger)).chain(idempotency::script()).collect()
}

fn puts() -> Vec<Ledger> {
    let zone = ledger::berlin();
    let calendar = Calendar::new(Period::Day, zone.name.clone(), Weekday::Monday);
    let put = |kind| {
        let (subject, limit) = (Subject::User("ann".parse().unwrap()), Amount::new(1_000));
        let spec = BudgetSpec {
            subject,
            unit: Unit::Tokens,
            kind,
            limit,
            auto_resolve: AutoResolve::Never,
            reserve: Reserve::Bound,
        };
        Ledger::PutBudget(PutBudget { spec, expected: Expected::Absent })
    };
    let minute = BudgetKind::Fixed(Period::Minute);
    let kinds = [BudgetKind::Lifetime, BudgetKind::Bucket(Refill::Hour), BudgetKind::Local(calendar), minute];
    let of_end_users = [Ledger::PutBudget(ledger::default()), ledger::meet()];
    [Ledger::PutTimeZone(zone)].into_iter().chain(kinds.map(put)).chain(of_end_users).collect()
}

fn openings() -> Vec<Ledger> {
    let open = |node| {
        let (node, boot, previous) = (NodeId::new(node), BootId::new(0xB007 + node), SessionId::default());
        let evidence = Evidence::Intact { generation: 1, marks: vec![] };
        Ledger::OpenSession(OpenSession { node, boot, previous, evidence })
    };
    [1, 2, 3].map(open).into()
}

/// The first session dies and part of its doubt ends, the second reports the impossible, and the third needs more than is left, has overspent, and needs something
/// of the next minute.
fn spending() -> Vec<Ledger> {
    let say = |session, sequence, reports, asks| {
        Ledger::Sync(Sync {
            session: SessionId::new(session),
            sequence,
            generation: 1,
            reports,
            asks,
            overspent: if session == 3 { overspent() } else { vec![] },
        })
    };
    vec![
        say(1, 1, vec![], vec![ask(50), Ask { budget: BY_THE_MINUTE, ..ask(5) }]),
        say(1, 2, vec![spent(20, 3)], vec![]),
        Ledger::ExpireSession { session: SessionId::new(1) },
        Ledger::Resolve(Resolve {
            session: SessionId::new(1),
            budget: BY_THE_MINUTE,
            window: THIS_MINUTE,
            spent: Amount::new(4),
            actor: "key 1".to_owned(),
            reason: "the invoice says so".to_owned(),
        }),
        say(2, 1, vec![], vec![ask(50)]),
        say(2, 2, vec![spent(10_000, 0)], vec![]),
        say(3, 1, vec![], vec![ask(950)]),
        say(3, 2, vec![], vec![ahead(64)]),
    ]
}

fn overspent() -> Vec<Overspent> {
    vec![Overspent { budget: BUDGET, total: Amount::new(7) }]
}

fn ask(need: u64) -> Ask {
    let need = Amount::new(need);
    let place = Place { id: PlaceId::new(1), need, most: need, is_last_call: true };
    Ask { budget: BUDGET, window: None, places: vec![place], want: Amount::ZERO, urgency: Urgency::Proof }
}

fn ahead(want: u64) -> Ask {
    Ask {
        budget: BY_THE_MINUTE,
        window: Some(NEXT_MINUTE),
        places: vec![],
        want: Amount::new(want),
        urgency: Urgency::CanWait,
    }
}

fn spent(used: u64, overrun: u64) -> SpendingReport {
    SpendingReport {
        budget: BUDGET,
        window: WindowId::LIFETIME,
        used: Amount::new(used),
        returned: Amount::ZERO,
        overrun: Amount::new(overrun),
        heard: None,
    }
}
