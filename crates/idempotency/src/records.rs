//! All records: applies one committed command after the other, and says what is known of a name.

use crate::record::{Record, State};
use crate::{Answer, Begin, Command, Digest, End, Ending, Name, Outcome};
use quorate_domain::{KeyId, LogTime, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// So many expired records are dropped at a time: as many as an entry of the log can bring, so that they do not pile up, and
/// no more, so that readers do not wait.
const DROPPED_MAX: usize = 1_024;

/// The records of all requests with an `Idempotency-Key`. The same log gives the same records on every node (I9).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    time: LogTime,
    records: BTreeMap<Name, Record>,
    /// When which record expires.
    expiries: BTreeSet<(LogTime, Name)>,
    /// Kept answers, the oldest first.
    answers: BTreeMap<u64, Name>,
    last_place: u64,
    bytes: u64,
    /// The share of each API key.
    shares: BTreeMap<KeyId, Share>,
}

/// What the records of one API key take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Share {
    records: u64,
    bytes: u64,
    /// Places of its answers.
    answers: BTreeSet<u64>,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// Nothing: it can be begun.
    Nothing,
    /// It names another request.
    OtherRequest,
    /// It is being executed, and will be ended.
    InFlight,
    /// It was executed, and this is the answer.
    Kept(&'a Answer),
    /// It was executed, and the answer was not kept.
    NotKept,
    /// It may have been executed, and nobody will ever tell.
    Unknown,
}

/// An index that does not tell what the records do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

impl Records {
    /// Applies one committed command. Total and deterministic. `at` never regresses; `is_live` says which sessions may spend, as the
    /// ledger stood before this command.
    pub fn apply(&mut self, at: LogTime, command: Command, is_live: &dyn Fn(SessionId) -> bool) -> Outcome {
        self.advance(at, is_live);
        match command {
            Command::Begin(begin) => self.begin(&begin, is_live),
            Command::End(end) => self.end(end),
        }
    }

    /// Lets time pass: drops what has expired.
    pub fn advance(&mut self, at: LogTime, is_live: &dyn Fn(SessionId) -> bool) {
        self.time = self.time.max(at);
        for _ in 0..DROPPED_MAX {
            let Some((_, name)) = self.expiries.first().filter(|(expires, _)| *expires <= self.time) else {
                return;
            };
            let name = *name;
            if self.is_executed(&name, is_live) {
                self.renew(&name);
            } else {
                self.remove(&name);
            }
        }
    }

    /// What is known of a name that stands for a request with this fingerprint.
    #[must_use]
    pub fn look(&self, name: &Name, fingerprint: &Digest, is_live: &dyn Fn(SessionId) -> bool) -> Found<'_> {
        let record = self.records.get(name).filter(|record| !record.is_over(self.time, is_live));
        let Some(record) = record else { return Found::Nothing };
        if record.fingerprint != *fingerprint {
            return Found::OtherRequest;
        }
        match &record.state {
            State::InFlight if is_live(record.owner.session) => Found::InFlight,
            State::InFlight | State::Unknown => Found::Unknown,
            State::Kept { answer, .. } => Found::Kept(answer),
            State::NotKept => Found::NotKept,
        }
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What kept answers take, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Holds the indices against the records.
    ///
    /// # Errors
    /// The first index that tells something else.
    pub fn validate(&self) -> Result<(), Broken> {
        let mut told = Self { time: self.time, last_place: self.last_place, ..Self::default() };
        for (name, record) in &self.records {
            told.insert(*name, record.clone());
        }
        let is_true = [
            ("expiries", told.expiries == self.expiries),
            ("answers", told.answers == self.answers),
            ("bytes", told.bytes == self.bytes),
            ("shares", told.shares == self.shares),
        ];
        is_true.into_iter().find(|(_, is_true)| !is_true).map_or(Ok(()), |(index, _)| Err(Broken(index)))
    }

    fn begin(&mut self, begin: &Begin, is_live: &dyn Fn(SessionId) -> bool) -> Outcome {
        let Begin { name, fingerprint, owner, keep, records_max } = *begin;
        if !is_live(owner.session) {
            return Outcome::OwnerGone;
        }
        match self.records.get(&name) {
            // Time has ended it, and not this command.
            Some(record) if record.is_over(self.time, is_live) => self.remove(&name),
            Some(record) if record.owner == owner && record.state == State::InFlight => {
                return Outcome::Begun;
            }
            Some(_) => return Outcome::Found,
            None => {}
        }
        let of_key = self.shares.get(&name.key).map_or(0, |share| share.records);
        if self.records.len() as u64 >= records_max || of_key >= records_max.div_ceil(2) {
            return Outcome::Full;
        }
        let expires = self.time.plus(keep);
        self.insert(name, Record { fingerprint, owner, keep, expires, state: State::InFlight });
        Outcome::Begun
    }

    fn end(&mut self, end: End) -> Outcome {
        let End { name, owner, ending, bytes_max } = end;
        match self.records.get(&name) {
            Some(record) if record.owner != owner => return Outcome::NotYours,
            Some(record) if record.state != State::InFlight => return Outcome::Ended,
            Some(_) => {}
            None => return Outcome::NotYours,
        }
        let Some(record) = self.take(&name) else { return Outcome::NotYours };
        let state = match ending {
            Ending::Released => return Outcome::Ended,
            Ending::Kept(answer) => State::Kept { place: self.next_place(), answer },
            Ending::NotKept => State::NotKept,
            Ending::Unknown => State::Unknown,
        };
        let expires = self.time.plus(record.keep);
        self.insert(name, Record { expires, state, ..record });
        self.drop_answers(name.key, bytes_max);
        Outcome::Ended
    }

    fn next_place(&mut self) -> u64 {
        self.last_place += 1;
        self.last_place
    }

    /// Drops the oldest answers until what is left fits, never that they were given.
    fn drop_answers(&mut self, key: KeyId, bytes_max: u64) {
        while let Some(share) = self.shares.get(&key)
            && share.bytes > bytes_max.div_ceil(2)
            && let Some(oldest) = share.answers.first().copied()
        {
            self.drop_answer(oldest);
        }
        while self.bytes > bytes_max
            && let Some((oldest, _)) = self.answers.first_key_value()
        {
            self.drop_answer(*oldest);
        }
    }

    fn drop_answer(&mut self, place: u64) {
        let Some(name) = self.answers.get(&place).copied() else { return };
        if let Some(record) = self.take(&name) {
            self.insert(name, Record { state: State::NotKept, ..record });
        }
    }

    fn is_executed(&self, name: &Name, is_live: &dyn Fn(SessionId) -> bool) -> bool {
        self.records.get(name).is_some_and(|record| record.is_executed(is_live))
    }

    fn renew(&mut self, name: &Name) {
        if let Some(record) = self.take(name) {
            let expires = self.time.plus(record.keep);
            self.insert(*name, Record { expires, ..record });
        }
    }

    fn remove(&mut self, name: &Name) {
        drop(self.take(name));
    }

    /// Enters a record, and all that the indices say of it.
    fn insert(&mut self, name: Name, record: Record) {
        self.expiries.insert((record.expires, name));
        let share = self.shares.entry(name.key).or_default();
        share.records += 1;
        if let State::Kept { place, answer } = &record.state {
            share.answers.insert(*place);
            share.bytes += answer.size();
            self.bytes += answer.size();
            self.answers.insert(*place, name);
        }
        self.records.insert(name, record);
    }

    /// Takes a record out, and all that the indices say of it.
    fn take(&mut self, name: &Name) -> Option<Record> {
        let record = self.records.remove(name)?;
        self.expiries.remove(&(record.expires, *name));
        let share = self.shares.entry(name.key).or_default();
        share.records -= 1;
        if let State::Kept { place, answer } = &record.state {
            share.answers.remove(place);
            share.bytes -= answer.size();
            self.bytes -= answer.size();
            self.answers.remove(place);
        }
        if share.records == 0 {
            self.shares.remove(&name.key);
        }
        Some(record)
    }
}
