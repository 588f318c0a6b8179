//! The rules of records, as scripts and outcomes.

#![expect(clippy::unwrap_used, reason = "a test that finds something else has failed")]

use bytes::Bytes;
use expect_test::{Expect, expect};
use quorate_domain::{BootId, KeyId, LogTime, SessionId, Span};
use quorate_idempotency::{Answer, Begin, Command, Digest, End, Ending, Name, Outcome, Owner, Records};
use std::fmt::Write as _;

const KEEP: Span = Span::from_millis(1_000);

/// Records, the time, and which sessions live: all up to the last one that died.
struct World {
    records: Records,
    at: u64,
    dead: u64,
    said: String,
    records_max: u64,
    bytes_max: u64,
}

fn name(key: u64, text: &str) -> Name {
    Name { key: KeyId::new(key), text: Digest::of(&[text.as_bytes()]) }
}

fn owner(session: u64, number: u64) -> Owner {
    Owner { session: SessionId::new(session), boot: BootId::new(session), number }
}

fn answer(text: &str) -> Ending {
    let body = Bytes::copy_from_slice(text.as_bytes());
    Ending::Kept(Answer { status: 200, content_type: None, cut_to: None, body })
}

impl World {
    fn new() -> Self {
        let (records, said) = (Records::default(), String::new());
        Self { records, at: 0, dead: 0, said, records_max: 100, bytes_max: 100 }
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let dead = self.dead;
        let is_live = move |session: SessionId| session.get() > dead;
        let outcome = self.records.apply(LogTime::from_millis(self.at), command, &is_live);
        self.records.validate().unwrap();
        outcome
    }

    fn begin(mut self, of: Name, body: &str, owner: Owner) -> Self {
        let (fingerprint, records_max) = (Digest::of(&[body.as_bytes()]), self.records_max);
        let begin = Begin { name: of, fingerprint, owner, keep: KEEP, records_max };
        let outcome = self.apply(Command::Begin(begin));
        writeln!(self.said, "{outcome:?}").unwrap();
        self
    }

    fn end(mut self, of: Name, owner: Owner, ending: Ending) -> Self {
        let bytes_max = self.bytes_max;
        let outcome = self.apply(Command::End(End { name: of, owner, ending, bytes_max }));
        writeln!(self.said, "{outcome:?}").unwrap();
        self
    }

    fn look(mut self, of: Name, body: &str) -> Self {
        let dead = self.dead;
        let found = self.records.look(&of, &Digest::of(&[body.as_bytes()]), &|session| session.get() > dead);
        let said = format!("{found:?}");
        writeln!(self.said, "{said}").unwrap();
        self
    }

    fn at(mut self, millis: u64) -> Self {
        self.at = millis;
        self.records.advance(LogTime::from_millis(millis), &|session| session.get() > self.dead);
        self.records.validate().unwrap();
        self
    }

    fn dies(self, session: u64) -> Self {
        Self { dead: session, ..self }
    }

    fn check(&self, expected: &Expect) {
        expected.assert_eq(&self.said);
    }
}

#[test]
fn a_repeat_of_what_is_done_finds_the_answer_and_another_request_of_that_name_is_told_apart() {
    let (a, me) = (name(1, "a"), owner(1, 1));
    World::new()
        .begin(a, "body", me)
        .look(a, "body")
        .begin(a, "body", owner(2, 1))
        .end(a, me, answer("hello"))
        .look(a, "body")
        .look(a, "another body")
        .begin(a, "body", owner(2, 2))
        .look(name(2, "a"), "body")
        .check(&expect![[r#"
            Begun
            InFlight
            Found
            Ended
            Kept(Answer(200, 5 bytes))
            OtherRequest
            Found
            Nothing
        "#]]);
}

#[test]
fn what_nobody_ends_any_more_is_unknown_until_its_owner_says_otherwise_and_is_never_begun_again() {
    let (a, me) = (name(1, "a"), owner(1, 1));
    World::new()
        .begin(a, "body", me)
        .dies(1)
        .look(a, "body")
        .begin(a, "body", owner(2, 1))
        .begin(name(1, "b"), "body", owner(1, 2))
        .end(a, me, answer("late"))
        .look(a, "body")
        .check(&expect![[r#"
            Begun
            Unknown
            Found
            OwnerGone
            Ended
            Kept(Answer(200, 4 bytes))
        "#]]);
}

#[test]
fn a_name_that_was_released_is_begun_by_the_next_and_ended_by_it_alone() {
    let (a, first, second) = (name(1, "a"), owner(1, 1), owner(2, 1));
    World::new()
        .begin(a, "body", first)
        .end(a, first, Ending::Released)
        .begin(a, "another body", second)
        .end(a, first, answer("not mine"))
        .look(a, "another body")
        .end(a, second, Ending::Unknown)
        .end(a, second, Ending::Released)
        .look(a, "another body")
        .check(&expect![[r#"
            Begun
            Ended
            Begun
            NotYours
            InFlight
            Ended
            Ended
            Unknown
        "#]]);
}

#[test]
fn records_expire_by_log_time_but_not_while_their_owner_lives() {
    let (a, b, me) = (name(1, "a"), name(1, "b"), owner(1, 1));
    World::new()
        .begin(a, "body", me)
        .begin(b, "body", owner(1, 2))
        .at(900)
        .end(a, me, answer("x"))
        .at(1_899)
        .look(a, "body")
        .look(b, "body")
        .at(1_900)
        .look(a, "body")
        .begin(a, "new body", owner(1, 3))
        .dies(1)
        .look(b, "body")
        .at(3_000)
        .look(b, "body")
        .check(&expect![[r#"
            Begun
            Begun
            Ended
            Kept(Answer(200, 1 bytes))
            InFlight
            Nothing
            Begun
            Unknown
            Nothing
        "#]]);
}

#[test]
fn when_there_is_no_room_the_oldest_answers_go_and_that_they_were_given_stays() {
    let mut world = World { bytes_max: 20, ..World::new() };
    for (number, key) in [1, 1, 2, 2].into_iter().enumerate() {
        let (of, me) = (name(key, &number.to_string()), owner(1, number as u64));
        world = world.begin(of, "body", me).end(of, me, answer("12345678"));
    }
    world.said.clear();
    world
        .look(name(1, "0"), "body")
        .look(name(1, "1"), "body")
        .look(name(2, "2"), "body")
        .look(name(2, "3"), "body")
        .begin(name(1, "0"), "body", owner(1, 9))
        .begin(name(3, "4"), "body", owner(1, 10))
        .end(name(3, "4"), owner(1, 10), answer("larger than half of it"))
        .look(name(3, "4"), "body")
        .check(&expect![[r#"
            NotKept
            Kept(Answer(200, 8 bytes))
            NotKept
            Kept(Answer(200, 8 bytes))
            Found
            Begun
            Ended
            NotKept
        "#]]);
}

#[test]
fn one_api_key_takes_half_of_all_records_and_none_is_given_up_before_its_time() {
    let world = World { records_max: 4, ..World::new() };
    world
        .begin(name(1, "a"), "body", owner(1, 1))
        .begin(name(1, "b"), "body", owner(1, 2))
        .begin(name(1, "c"), "body", owner(1, 3))
        .begin(name(2, "a"), "body", owner(1, 4))
        .begin(name(3, "a"), "body", owner(1, 5))
        .begin(name(4, "a"), "body", owner(1, 6))
        .end(name(2, "a"), owner(1, 4), Ending::NotKept)
        .begin(name(4, "a"), "body", owner(1, 7))
        .at(1_000)
        .begin(name(4, "a"), "body", owner(1, 8))
        .check(&expect![[r#"
            Begun
            Begun
            Full
            Begun
            Begun
            Full
            Ended
            Full
            Begun
        "#]]);
}
