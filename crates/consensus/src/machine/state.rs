//! The state itself. One writer applies entries; everybody reads under short locks.

use super::dedup::Dedup;
use super::history::{Digester, History};
use super::{Batch, Command, Fingerprint, Outcome, Proposal};
use crate::codec::{self, CodecError, EntryV1, Kind, LogIdV1, PayloadV1};
use crate::raft;
use openraft::EntryPayload;
use parking_lot::{Mutex, RwLock};
use quorate_catalog::Catalog;
use quorate_domain::LogTime;
use quorate_idempotency::Records;
use quorate_ledger::Ledger;
use quorate_membership::Membership;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};

/// Everything the cluster agrees on. Take a read lock for a moment; never hold two while doing slow work.
#[derive(Debug, Default)]
pub struct State {
    /// Keys, tenants, providers, routes, prices.
    pub catalog: RwLock<Catalog>,
    /// Budgets, sessions, grants.
    pub ledger: RwLock<Ledger>,
    /// Who belongs to the cluster.
    pub membership: RwLock<Membership>,
    /// Requests with an `Idempotency-Key`. Who needs the ledger too locks the ledger first.
    pub idempotency: RwLock<Records>,
    /// Milliseconds of log time, beside the locks: who holds one of them may still ask for the time.
    time: AtomicU64,
    /// Digests of what was applied, beside the locks too: whoever asks for one does not wait for a snapshot. Written under
    /// `progress` alone; taken last and for a moment.
    history: Mutex<History>,
    /// Taken before any of the locks above by whoever changes the state or needs all of it at one index.
    progress: Mutex<Progress>,
}

/// How far the state has come, and what only its writer needs.
#[derive(Debug, Default)]
struct Progress {
    time: LogTime,
    applied: Option<raft::LogId>,
    membership: raft::StoredMembership,
    digester: Digester,
    dedup: Dedup,
}

/// All of the state at one index, as it stands in a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frozen {
    pub(crate) time: LogTime,
    applied: Option<LogIdV1>,
    history: Fingerprint,
    pub(crate) members: Membership,
    dedup: Dedup,
    pub(crate) catalog: Catalog,
    ledger: Ledger,
    idempotency: Records,
}

impl State {
    /// Applies a batch. Total and deterministic; outcomes come in the order of the proposals.
    pub(crate) fn apply(&self, at: raft::LogId, batch: &Batch) -> Vec<Outcome> {
        let mut progress = self.progress.lock();
        progress.time = progress.time.max(batch.at);
        self.time.store(progress.time.millis(), Ordering::Release);
        let proposals = batch.proposals.iter();
        self.drop_expired(progress.time);
        let outcomes: Vec<_> = proposals.map(|proposal| self.apply_one(&mut progress, proposal)).collect();
        self.note(&mut progress, at, PayloadV1::Batch(batch.clone()), &outcomes);
        outcomes
    }

    /// Takes an entry as it stands in the log.
    pub(crate) fn take(&self, entry: raft::Entry) -> Vec<Outcome> {
        let at = entry.log_id;
        match entry.payload {
            EntryPayload::Blank => self.pass(at),
            EntryPayload::Normal(batch) => return self.apply(at, &batch),
            EntryPayload::Membership(membership) => self.apply_membership(at, membership),
        }
        Vec::new()
    }

    /// Notes an entry that changes nothing here.
    pub(crate) fn pass(&self, at: raft::LogId) {
        self.note(&mut self.progress.lock(), at, PayloadV1::Blank, &[]);
    }

    /// Notes a new membership of the Raft group.
    pub(crate) fn apply_membership(&self, at: raft::LogId, membership: raft::Membership) {
        let mut progress = self.progress.lock();
        self.note(&mut progress, at, PayloadV1::Membership((&membership).into()), &[]);
        progress.membership = raft::StoredMembership::new(Some(at), membership);
    }

    /// The last applied entry and the membership in force there.
    pub(crate) fn progress(&self) -> (Option<raft::LogId>, raft::StoredMembership) {
        let progress = self.progress.lock();
        (progress.applied, progress.membership.clone())
    }

    /// Log time of the last applied entry.
    #[must_use]
    pub fn time(&self) -> LogTime {
        LogTime::from_millis(self.time.load(Ordering::Acquire))
    }

    /// A copy of everything at one index. Applying waits while it is made; readers do not.
    pub(crate) fn freeze(&self) -> (raft::SnapshotMeta, Frozen) {
        let progress = self.progress.lock();
        let meta = raft::SnapshotMeta {
            last_log_id: progress.applied,
            last_membership: progress.membership.clone(),
        };
        // Before the copy: a guard within it would be held to its end.
        let history = self.history.lock().now().unwrap_or_default();
        let frozen = Frozen {
            time: progress.time,
            applied: progress.applied.as_ref().map(Into::into),
            history,
            members: self.membership.read().clone(),
            dedup: progress.dedup.clone(),
            catalog: self.catalog.read().clone(),
            ledger: self.ledger.read().clone(),
            idempotency: self.idempotency.read().clone(),
        };
        (meta, frozen)
    }

    /// Becomes what a snapshot holds.
    pub(crate) fn restore(&self, meta: &raft::SnapshotMeta, frozen: Frozen) {
        let mut progress = self.progress.lock();
        progress.time = frozen.time;
        self.time.store(frozen.time.millis(), Ordering::Release);
        progress.applied = meta.last_log_id;
        progress.membership = meta.last_membership.clone();
        *self.history.lock() = History::since(frozen.applied.map(|_| frozen.history));
        progress.dedup = frozen.dedup;
        *self.membership.write() = frozen.members;
        *self.catalog.write() = frozen.catalog;
        // Both at once: by the sessions of one index and the records of another, what lives would look as if it were lost.
        let (mut ledger, mut records) = (self.ledger.write(), self.idempotency.write());
        (*ledger, *records) = (frozen.ledger, frozen.idempotency);
    }

    /// The fingerprint of the state as it is now. Costs a copy of the state: for tests, audits and comparisons.
    /// Must not be called by who holds one of the locks.
    #[must_use]
    pub fn hash(&self) -> Fingerprint {
        let (_, frozen) = self.freeze();
        let applied = frozen.applied.map_or(0, |id| id.index);
        Fingerprint { applied, sha256: Sha256::digest(frozen.encode()).into() }
    }

    /// The fingerprint of all that was applied so far and of what came of it, once anything was. Costs no more than
    /// looking at the time, and says nothing about what no outcome shows.
    #[must_use]
    pub fn history(&self) -> Option<Fingerprint> {
        self.history.lock().now()
    }

    /// The same as it was when that entry had been applied, if it is remembered and of that version.
    pub(crate) fn history_at(&self, version: u32, index: u64) -> Option<Fingerprint> {
        self.history.lock().at(version, index)
    }

    fn note(&self, progress: &mut Progress, at: raft::LogId, payload: PayloadV1, outcomes: &[Outcome]) {
        progress.applied = Some(at);
        let before = self.history.lock().now();
        let entry = EntryV1 { log_id: (&at).into(), payload };
        let next = progress.digester.after(before, &entry, outcomes);
        self.history.lock().push(next);
    }

    fn apply_one(&self, progress: &mut Progress, proposal: &Proposal) -> Outcome {
        let Some(op) = proposal.origin else {
            return self.execute(progress.time, proposal.command.clone());
        };
        if let Some(earlier) = progress.dedup.recall(op) {
            return earlier;
        }
        let outcome = self.execute(progress.time, proposal.command.clone());
        progress.dedup.remember(op, outcome.clone());
        outcome
    }

    fn execute(&self, at: LogTime, command: Command) -> Outcome {
        match command {
            Command::Catalog(command) => Outcome::Catalog(self.catalog.write().apply(at, command)),
            Command::Ledger(command) => Outcome::Ledger(self.ledger.write().apply(at, command)),
            Command::Membership(command) => Outcome::Membership(self.membership.write().apply(at, command)),
            Command::Idempotency(command) => {
                let ledger = self.ledger.read();
                let outcome = self.idempotency.write().apply(at, command, &|session| ledger.is_live(session));
                Outcome::Idempotency(outcome)
            }
        }
    }

    fn drop_expired(&self, now: LogTime) {
        let ledger = self.ledger.read();
        self.idempotency.write().advance(now, &|session| ledger.is_live(session));
    }
}

impl Frozen {
    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(Kind::State, self)
    }

    /// Reads the stored form.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(Kind::State, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{HISTORY_VERSION, OpId};
    use quorate_domain::{BootId, KeyId, NodeId, Offsets, SessionId, Span, TimeZone, UtcOffset, ZoneName};
    use quorate_membership::{self as membership, NewToken, Rejection, TokenId};
    use std::time::Duration;

    fn log_id(index: u64) -> raft::LogId {
        raft::LogId::new(raft::LeaderId { term: 1, node_id: 1 }, index)
    }

    fn batch(at: u64, proposals: Vec<Proposal>) -> Batch {
        Batch { at: LogTime::from_millis(at), proposals: proposals.into() }
    }

    fn token() -> Proposal {
        let (token, until) = (TokenId::new(1), LogTime::from_millis(1_000));
        let new = NewToken { token, digest: [0; 32], until, uses: 1, actor: String::new() };
        Proposal { origin: None, command: Command::Membership(membership::Command::CreateToken(new)) }
    }

    fn withdraw(sequence: u64) -> Proposal {
        let origin = Some(OpId { boot: BootId::new(7), sequence });
        let withdraw = membership::Command::WithdrawToken { token: TokenId::new(1) };
        Proposal { origin, command: Command::Membership(withdraw) }
    }

    #[test]
    fn a_retry_gets_the_first_answer_also_after_a_snapshot() {
        let state = State::default();
        state.apply(log_id(1), &batch(5, vec![token()]));
        let done = vec![Outcome::Membership(membership::Outcome::Done)];
        assert_eq!(state.apply(log_id(2), &batch(6, vec![withdraw(1)])), done);
        assert_eq!(state.apply(log_id(3), &batch(7, vec![withdraw(1)])), done);
        let again = Outcome::Membership(membership::Outcome::Rejected(Rejection::TokenUnknown));
        assert_eq!(state.apply(log_id(4), &batch(7, vec![withdraw(2)])), vec![again]);

        let (meta, frozen) = state.freeze();
        let restored = State::default();
        restored.restore(&meta, Frozen::decode(&frozen.encode()).unwrap());
        assert_eq!(restored.hash(), state.hash());
        assert_eq!(restored.apply(log_id(5), &batch(8, vec![withdraw(1)])), done);
        assert_eq!(restored.progress().0, Some(log_id(5)));
    }

    #[test]
    fn a_snapshot_of_nothing_has_no_history() {
        let (meta, frozen) = State::default().freeze();
        let restored = State::default();
        restored.restore(&meta, Frozen::decode(&frozen.encode()).unwrap());
        assert_eq!((restored.history(), restored.history_at(HISTORY_VERSION, 0)), (None, None));
    }

    #[test]
    fn the_rules_of_time_zones_are_part_of_a_snapshot() {
        let state = State::default();
        let (hour, summer) = (UtcOffset::from_seconds(-3_600), (LogTime::from_millis(9), UtcOffset::ZERO));
        let zone = TimeZone {
            name: ZoneName::parse("Atlantic/Azores").unwrap(),
            edition: "2026b".to_owned(),
            known_until: LogTime::from_millis(1_000),
            offsets: Offsets::new(hour, [summer]),
        };
        let told = Command::Ledger(quorate_ledger::Command::PutTimeZone(zone.clone()));
        state.apply(log_id(1), &batch(5, vec![Proposal { origin: None, command: told }]));
        let (meta, frozen) = state.freeze();
        let restored = State::default();
        restored.restore(&meta, Frozen::decode(&frozen.encode()).unwrap());
        assert_eq!(restored.ledger.read().time_zone(&zone.name), Some(&zone));
        assert_eq!(restored.hash(), state.hash());
    }

    #[test]
    fn a_record_knows_by_the_ledger_that_its_owner_is_gone_also_after_a_snapshot() {
        use quorate_idempotency::{Begin, Command as Ask, Digest, Name, Outcome as Told, Owner};
        use quorate_ledger::{Command as Ledger, Evidence, OpenSession};
        let (name, fingerprint) =
            (Name { key: KeyId::new(1), text: Digest::of(&[b"a"]) }, Digest::of(&[b"body"]));
        let begin = |session, number| {
            let owner = Owner { session: SessionId::new(session), boot: BootId::new(1), number };
            let keep = Span::from_millis(1_000);
            Command::Idempotency(Ask::Begin(Begin { name, fingerprint, owner, keep, records_max: 9 }))
        };
        let open = |boot, previous| {
            let (boot, previous) = (BootId::new(boot), SessionId::new(previous));
            let evidence = Evidence::Intact { generation: 1, marks: vec![] };
            Command::Ledger(Ledger::OpenSession(OpenSession {
                node: NodeId::new(1),
                boot,
                previous,
                evidence,
            }))
        };
        let told = |state: &State, index, at, command| {
            let proposals = vec![Proposal { origin: None, command }];
            state.apply(log_id(index), &batch(at, proposals)).remove(0)
        };
        let found = |state: &State| {
            let (ledger, records) = (state.ledger.read(), state.idempotency.read());
            format!("{:?}", records.look(&name, &fingerprint, &|session| ledger.is_live(session)))
        };
        let state = State::default();
        assert_eq!(told(&state, 1, 1, begin(1, 1)), Outcome::Idempotency(Told::OwnerGone));
        told(&state, 2, 1, open(1, 0));
        assert_eq!(told(&state, 3, 1, begin(1, 2)), Outcome::Idempotency(Told::Begun));
        assert_eq!(found(&state), "InFlight");
        told(&state, 4, 2, open(2, 1));
        let (meta, frozen) = state.freeze();
        let restored = State::default();
        restored.restore(&meta, Frozen::decode(&frozen.encode()).unwrap());
        for state in [state, restored] {
            assert_eq!(found(&state), "Unknown");
            assert_eq!(told(&state, 5, 3, begin(2, 3)), Outcome::Idempotency(Told::Found));
            told(&state, 6, 1_001, Command::Ledger(Ledger::Tick));
            assert!(state.idempotency.read().is_empty(), "time alone drops what has expired");
        }
    }

    #[test]
    fn nobody_sees_the_ledger_of_a_snapshot_beside_the_records_before_it() {
        let (meta, frozen) = State::default().freeze();
        let state = &State::default();
        std::thread::scope(|scope| {
            let held = state.idempotency.read();
            let restoring = scope.spawn(|| state.restore(&meta, frozen));
            // Nobody else may read a lock that a writer waits for.
            while !restoring.is_finished() && state.idempotency.try_read().is_some() {
                std::thread::yield_now();
            }
            let seen = state.ledger.try_read().is_some();
            drop(held);
            restoring.join().unwrap();
            assert!(!seen);
        });
    }

    #[test]
    fn log_time_never_goes_back() {
        let state = State::default();
        state.apply(log_id(1), &batch(100, Vec::new()));
        state.apply(log_id(2), &batch(40, Vec::new()));
        assert_eq!(state.time(), LogTime::from_millis(100));
    }

    #[test]
    fn who_holds_a_lock_may_ask_for_the_time_while_another_applies() {
        let state = State::default();
        let held = state.ledger.read();
        std::thread::scope(|scope| {
            let applying = scope.spawn(|| {
                let tick = Command::Ledger(quorate_ledger::Command::Tick);
                let proposals = vec![Proposal { origin: None, command: tick }];
                state.apply(log_id(1), &batch(9, proposals))
            });
            while state.time().millis() < 9 {
                std::thread::yield_now();
            }
            drop(held);
            assert_eq!(applying.join().unwrap().len(), 1);
        });
    }

    #[test]
    fn the_history_is_told_while_a_snapshot_copies_the_state() {
        let state = State::default();
        state.pass(log_id(0));
        let (told, answer) = std::sync::mpsc::channel();
        let state = &state;
        std::thread::scope(|scope| {
            // Let go before the threads are waited for, also if the assertion below fails.
            let held = state.ledger.write();
            let freezing = scope.spawn(|| state.freeze());
            while state.progress.try_lock().is_some() {
                std::thread::yield_now();
            }
            scope.spawn(move || told.send((state.history(), state.history_at(HISTORY_VERSION, 0))));
            let answer = answer.recv_timeout(Duration::from_secs(10));
            drop(held);
            let (now, first) = answer.expect("nobody waits for a snapshot to ask for the history");
            assert!(now.is_some() && now == first);
            assert!(freezing.join().unwrap().0.last_log_id.is_some());
        });
    }
}
