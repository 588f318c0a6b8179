//! What is asked of the records of requests, and what comes of it. Every number is another one.

use crate::machine;
use quorate_domain::{BootId, KeyId, SessionId, Span};
use quorate_idempotency::{Answer, Begin, Command, Digest, End, Ending, Name, Outcome, Owner};

pub(super) fn commands() -> Vec<(&'static str, machine::Command)> {
    [
        ("idempotency_begin", Command::Begin(begin(91))),
        ("idempotency_end_released", end(91, Ending::Released)),
        ("idempotency_end_kept", end(91, Ending::Kept(answer()))),
        ("idempotency_end_not_kept", end(91, Ending::NotKept)),
        ("idempotency_end_unknown", end(91, Ending::Unknown)),
    ]
    .map(|(name, command)| (name, machine::Command::Idempotency(command)))
    .into()
}

pub(super) fn outcomes() -> Vec<(&'static str, Vec<machine::Outcome>)> {
    let all = [
        Outcome::Begun,
        Outcome::Found,
        Outcome::Full,
        Outcome::OwnerGone,
        Outcome::Ended,
        Outcome::NotYours,
    ];
    vec![("idempotency", all.map(machine::Outcome::Idempotency).into())]
}

fn name(number: u64) -> Name {
    Name { key: KeyId::new(17), text: Digest::of(&[&number.to_le_bytes()]) }
}

/// In the session that lives in the frozen state.
fn owner(number: u64) -> Owner {
    Owner { session: SessionId::new(3), boot: BootId::new(0xB007), number }
}

pub(super) fn fingerprint() -> Digest {
    Digest::of(&[b"POST", b"/v1/chat/completions", b"{}"])
}

fn answer() -> Answer {
    let content_type = Some("application/json".to_owned());
    Answer { status: 201, content_type, cut_to: Some(92), body: vec![0, 1, 0xFF].into() }
}

fn begin(number: u64) -> Begin {
    let (name, owner, keep) = (name(number), owner(number), Span::from_millis(93_000));
    Begin { name, fingerprint: fingerprint(), owner, keep, records_max: 94 }
}

fn end(number: u64, ending: Ending) -> Command {
    Command::End(End { name: name(number), owner: owner(number), ending, bytes_max: 95 })
}

/// One record of each kind: kept, not kept, unknown and in flight.
pub(super) fn script() -> Vec<machine::Command> {
    let begun = (1..=4).map(|number| Command::Begin(begin(number)));
    let ended = [end(1, Ending::Kept(answer())), end(2, Ending::NotKept), end(3, Ending::Unknown)];
    begun.chain(ended).map(machine::Command::Idempotency).collect()
}

/// The names of the records that [`script`] makes.
pub(super) fn names() -> [Name; 4] {
    [1, 2, 3, 4].map(name)
}
