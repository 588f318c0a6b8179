//! What holds for every log: whatever is sent twice, comes late or in another order, and whoever dies.

#![expect(clippy::unwrap_used, reason = "a test that finds something else has failed")]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use quorate_domain::{BootId, KeyId, LogTime, SessionId, Span};
use quorate_idempotency::{
    Answer, Begin, Command, Digest, End, Ending, Found, Name, Outcome, Owner, Records,
};
use std::collections::{BTreeMap, BTreeSet};

const KEEP_MS: u64 = 50;
const RECORDS_MAX: u64 = 8;
const BYTES_MAX: u64 = 40;

/// What happens next, as small numbers, so that the same names and owners meet again and again.
#[derive(Clone, Copy, Debug)]
enum Event {
    Begin {
        name: u8,
        owner: u8,
        body: u8,
    },
    End {
        name: u8,
        owner: u8,
        ending: u8,
    },
    Passes {
        millis: u8,
    },
    Dies {
        session: u8,
    },
    /// An earlier command comes once more, as late as it likes.
    Again {
        which: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..4_u8, 0..6_u8, 0..2_u8).prop_map(|(name, owner, body)| Event::Begin { name, owner, body }),
        4 => (0..4_u8, 0..6_u8, 0..40_u8).prop_map(|(name, owner, ending)| Event::End { name, owner, ending }),
        2 => (0..40_u8).prop_map(|millis| Event::Passes { millis }),
        1 => (0..3_u8).prop_map(|session| Event::Dies { session }),
        2 => any::<usize>().prop_map(|which| Event::Again { which }),
    ]
}

fn name(number: u8) -> Name {
    Name { key: KeyId::new(u64::from(number % 2)), text: Digest::of(&[&[number]]) }
}

fn owner(number: u8) -> Owner {
    let session = SessionId::new(u64::from(number % 3));
    Owner { session, boot: BootId::new(7), number: u64::from(number) }
}

fn begin((of, by, body): (u8, u8, u8)) -> Command {
    let (fingerprint, keep) = (Digest::of(&[&[body]]), Span::from_millis(KEEP_MS));
    Command::Begin(Begin { name: name(of), fingerprint, owner: owner(by), keep, records_max: RECORDS_MAX })
}

fn end((of, by, ending): (u8, u8, u8)) -> Command {
    let body = Bytes::from(vec![ending; usize::from(ending)]);
    let ending = match ending {
        0 => Ending::Unknown,
        1 => Ending::NotKept,
        2..6 => Ending::Released,
        status => Ending::Kept(Answer { status: u16::from(status), content_type: None, cut_to: None, body }),
    };
    Command::End(End { name: name(of), owner: owner(by), ending, bytes_max: BYTES_MAX })
}

/// What a name's clients were promised, as a client would remember it.
#[derive(Debug, Default)]
struct Promises {
    /// Who was told to execute, and was not released since.
    executes: BTreeMap<Name, (Owner, u64)>,
    /// What was executed, and when; the status of what was kept.
    done: BTreeMap<Name, (u64, Option<u16>)>,
}

struct World {
    records: Records,
    now: u64,
    dead: BTreeSet<SessionId>,
    log: Vec<Command>,
    promises: Promises,
}

impl World {
    fn new() -> Self {
        let (records, dead, log) = (Records::default(), BTreeSet::new(), Vec::new());
        Self { records, now: 0, dead, log, promises: Promises::default() }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Begin { name, owner, body } => self.commit(begin((name, owner, body))),
            Event::End { name, owner, ending } => self.commit(end((name, owner, ending))),
            Event::Passes { millis } => self.now += u64::from(millis),
            Event::Dies { session } => {
                self.dead.insert(SessionId::new(u64::from(session)));
            }
            Event::Again { which } if !self.log.is_empty() => {
                let command = self.log[which % self.log.len()].clone();
                // The log remembers operations that are not idempotent (crate `consensus`).
                if command.is_idempotent() {
                    self.commit(command);
                }
            }
            Event::Again { .. } => {}
        }
    }

    fn commit(&mut self, command: Command) {
        let dead = self.dead.clone();
        let is_live = move |session| !dead.contains(&session);
        let outcome = self.records.apply(LogTime::from_millis(self.now), command.clone(), &is_live);
        self.records.validate().unwrap();
        assert!(self.records.len() as u64 <= RECORDS_MAX && self.records.bytes() <= BYTES_MAX);
        let mut twin = self.records.clone();
        if command.is_idempotent() {
            twin.apply(LogTime::from_millis(self.now), command.clone(), &is_live);
            assert_eq!(twin, self.records, "applied twice it is another state");
        }
        self.hold_to_promises(&command, outcome);
        self.log.push(command);
    }

    fn hold_to_promises(&mut self, command: &Command, outcome: Outcome) {
        let Promises { executes, done } = &mut self.promises;
        match (command, outcome) {
            (Command::Begin(begin), Outcome::Begun) => {
                if let Some((at, _)) = done.remove(&begin.name) {
                    assert!(self.now >= at + KEEP_MS, "I14: executed at {at} and again at {}", self.now);
                }
                let begun = (begin.owner, self.now);
                let (other, since) = *executes.entry(begin.name).or_insert(begun);
                if other != begin.owner {
                    let is_forgotten = self.dead.contains(&other.session) && self.now >= since + KEEP_MS;
                    assert!(is_forgotten, "I14: {other:?} executes it since {since}, and {begun:?} begins");
                    executes.insert(begin.name, begun);
                }
            }
            (Command::End(end), Outcome::Ended) => {
                let is_owners = executes.get(&end.name).is_some_and(|(owner, _)| *owner == end.owner);
                if is_owners {
                    executes.remove(&end.name);
                    let status = match &end.ending {
                        Ending::Released => return,
                        Ending::Kept(answer) => Some(answer.status),
                        Ending::NotKept | Ending::Unknown => None,
                    };
                    done.insert(end.name, (self.now, status));
                }
            }
            (Command::Begin(_) | Command::End(_), _) => {}
        }
        self.look_for_what_is_done();
    }

    /// Until it expires, what was executed is never unknown as such, and its answer is the one that was given.
    fn look_for_what_is_done(&self) {
        for (name, (at, status)) in &self.promises.done {
            if self.now >= at + KEEP_MS {
                continue;
            }
            let found =
                [0, 1].map(|body| self.records.look(name, &Digest::of(&[&[body]]), &|_| true)).into_iter();
            let found: Vec<_> = found.filter(|found| *found != Found::OtherRequest).collect();
            let is_so = match found.as_slice() {
                [Found::Kept(answer)] => Some(answer.status) == *status,
                [Found::NotKept | Found::Unknown] => true,
                _ => false,
            };
            assert!(is_so, "I14: {name:?} was executed at {at} with {status:?}, and {found:?} is found");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_name_is_executed_once_whatever_comes_twice_or_late_and_whoever_dies(events in vec(event(), 0..60)) {
        let mut world = World::new();
        for event in events {
            world.happens(event);
        }
    }

    #[test]
    fn the_same_log_gives_the_same_records_and_outcomes(events in vec(event(), 0..60)) {
        let worlds = [(), ()].map(|()| {
            let mut world = World::new();
            for event in events.clone() {
                world.happens(event);
            }
            world.records
        });
        prop_assert_eq!(&worlds[0], &worlds[1]);
    }
}
