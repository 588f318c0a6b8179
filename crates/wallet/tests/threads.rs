//! Many threads spend while the slow path grants, flushes, closes accounts and opens them again: I2 must hold whatever the
//! interleaving, and no unit may be lost.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that finds something else has failed"
)]

use quorate_domain::{
    Amount, BootId, BudgetId, LogTime, MonoTime, NanoUsd, NodeId, PlaceId, Round, SessionId, Subject, Tokens,
    Unit,
};
use quorate_ledger::*;
use quorate_wallet::{Charge, Cost, Reservation, Wallet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const CHARGE: Charge = Charge { budget: BudgetId::new(1), unit: Unit::Tokens, reserve: Reserve::Bound };
const SPENDERS: u64 = 4;
const ROUNDS: u64 = 20_000;
const OPENINGS: u64 = 4_000;
const NOW: MonoTime = MonoTime::from_micros(1);
/// So much is granted at most, again and again, while the budget is open.
const LIMIT: u64 = 10_000_000;

/// Where spenders and the slow path meet.
#[derive(Default)]
struct Tally {
    spent: AtomicU64,
    admitted: AtomicU64,
    finished: AtomicU64,
}

fn tokens(tokens: u64) -> Cost {
    Cost { tokens: Tokens::new(tokens), money: NanoUsd::ZERO }
}

/// Reserves and settles for half, holding a few reservations at a time, so that some settle after a close.
fn spend(wallet: &Wallet, tally: &Tally, spender: u64, rounds: u64) {
    let mut under_way = Vec::new();
    for round in 0..rounds {
        let bound = 1 + (round + spender) % 7;
        match wallet.reserve(&[CHARGE], tokens(bound), NOW) {
            Ok(reservation) => under_way.push((reservation, bound / 2)),
            Err(_) => thread::yield_now(),
        }
        if under_way.len() > (round % 5) as usize {
            let (reservation, real) = under_way.swap_remove(0);
            tally.spent.fetch_add(real, Ordering::Relaxed);
            tally.admitted.fetch_add(1, Ordering::Relaxed);
            let _within = reservation.settle(&tokens(real));
        }
    }
    for (reservation, real) in under_way {
        tally.spent.fetch_add(real, Ordering::Relaxed);
        let _within = reservation.settle(&tokens(real));
    }
}

/// The ledger of one budget, and the session of the wallet.
struct Desk {
    ledger: Ledger,
    session: SessionId,
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self { ledger: Ledger::default(), session: SessionId::new(1) };
        desk.limit(LIMIT);
        let evidence = Evidence::Intact { generation: 1, marks: vec![] };
        let (node, boot, previous) = (NodeId::new(1), BootId::new(1), SessionId::default());
        let open = OpenSession { node, boot, previous, evidence };
        let opened = desk.apply(Command::OpenSession(open));
        assert_eq!(opened, Outcome::SessionOpened { session: desk.session });
        desk
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let outcome = self.ledger.apply(LogTime::from_millis(1), command);
        self.ledger.validate().unwrap();
        outcome
    }

    /// A limit below what is granted begins central mode; with a limit that leaves room, the next ask ends it.
    fn limit(&mut self, limit: u64) {
        let subject = Subject::Team("search".parse().unwrap());
        let spec = BudgetSpec {
            subject,
            unit: Unit::Tokens,
            kind: Kind::Lifetime,
            limit: Amount::new(limit),
            auto_resolve: AutoResolve::Never,
            reserve: Reserve::Bound,
        };
        self.apply(Command::PutBudget(PutBudget { spec, expected: Expected::Any }));
    }

    fn talk(&mut self, wallet: &Wallet) {
        let Some(speech) = wallet.speech(&self.ledger, true, NOW) else { return };
        match self.apply(Command::Sync(speech.sync.clone())) {
            Outcome::Synced { answers } => wallet.heard(&speech, &answers, NOW, NOW),
            other => panic!("honest nodes are never fenced: {other:?}"),
        }
    }

    /// The sums used, returned and granted, as the ledger knows them.
    fn holding(&self) -> Holding {
        self.account().holding(self.session).cloned().unwrap_or_default()
    }

    fn account(&self) -> &Account {
        self.ledger.budget(CHARGE.budget).unwrap().current()
    }

    fn round(&self) -> Option<Round> {
        self.account().round()
    }
}

/// One request in line brings an account to begin with, and later an ask that opens it again.
fn ask(desk: &mut Desk, wallet: &Wallet) {
    let id = wallet.queue([CHARGE].into(), tokens(1), NOW, MonoTime::NEVER);
    desk.talk(wallet);
    flush(wallet);
    let served = wallet.serve(NOW);
    let is_served = !served.is_empty();
    served.into_iter().for_each(|(_, reservation)| reservation.cancel());
    assert!(is_served || wallet.leave(id));
}

fn flush(wallet: &Wallet) {
    let marks = wallet.marks(NOW);
    wallet.journalled(&marks, NOW);
}

/// I2, as far as it can be seen while others spend. U never passes what the journal holds, nor U + R what was granted.
fn check(wallet: &Wallet) {
    let account = wallet.account(CHARGE.budget).unwrap();
    let statement = account.statement();
    assert!(statement.used <= account.spent_bound(), "I2");
    assert!(statement.used.saturating_add(statement.returned) <= account.granted(), "I2");
}

/// Grants and flushes, and every few turns closes the account or opens it, until every spender is done.
fn slow_path(desk: &mut Desk, wallet: &Wallet, tally: &Tally) -> u64 {
    let mut closings = 0;
    let mut turn = 0_u64;
    while tally.finished.load(Ordering::Acquire) < SPENDERS {
        turn += 1;
        match turn % 6 {
            0 => desk.limit(1),
            3 => {
                desk.limit(LIMIT);
                ask(desk, wallet);
            }
            _ => desk.talk(wallet),
        }
        let was_closed = wallet.account(CHARGE.budget).unwrap().is_closed();
        wallet.follow(&desk.ledger, NOW);
        let is_closed = wallet.account(CHARGE.budget).unwrap().is_closed();
        assert_eq!(is_closed, desk.round().is_some());
        closings += u64::from(is_closed && !was_closed);
        flush(wallet);
        check(wallet);
        thread::yield_now();
    }
    closings
}

#[test]
fn threads_never_spend_above_the_watermark_and_lose_nothing_while_the_account_closes_and_opens() {
    let (mut desk, wallet, tally) = (Desk::new(), Wallet::new(SessionId::new(1)), Tally::default());
    ask(&mut desk, &wallet);
    let closings = thread::scope(|scope| {
        for spender in 0..SPENDERS {
            let (wallet, tally) = (&wallet, &tally);
            scope.spawn(move || {
                spend(wallet, tally, spender, ROUNDS);
                tally.finished.fetch_add(1, Ordering::Release);
            });
        }
        slow_path(&mut desk, &wallet, &tally)
    });
    check_that_no_unit_is_lost(&wallet, &tally);
    assert!(closings > 1, "the account was never closed twice, so nothing was tested");
    assert!(tally.admitted.load(Ordering::Relaxed) > ROUNDS / 100, "hardly anybody got anything");
    give_back_everything(&mut desk, &wallet);
}

/// I5: after the last word, the ledger counts as gone what was spent, and not a unit more.
fn give_back_everything(desk: &mut Desk, wallet: &Wallet) {
    wallet.give_back_all();
    desk.limit(1);
    wallet.follow(&desk.ledger, NOW);
    desk.talk(wallet);
    let holding = desk.holding();
    assert_eq!(holding.outstanding(), Amount::ZERO);
    assert_eq!(holding.used, wallet.account(CHARGE.budget).unwrap().statement().used);
}

fn check_that_no_unit_is_lost(wallet: &Wallet, tally: &Tally) {
    let account = wallet.account(CHARGE.budget).unwrap();
    let statement = account.statement();
    assert_eq!(statement.used.get(), tally.spent.load(Ordering::Relaxed));
    assert_eq!(account.in_flight(), Amount::ZERO);
    let sum = statement.used.saturating_add(statement.returned).saturating_add(account.free());
    assert_eq!(sum, account.granted(), "a unit was lost or found");
}

/// What a replica shows one after the other: the budget is handed out request by request, then in grants, and each time
/// the session has been granted some more.
fn openings_and_closings(desk: &mut Desk) -> Vec<Ledger> {
    let mut shown = Vec::new();
    for sequence in 1_000..1_000 + OPENINGS {
        desk.limit(1);
        shown.push(desk.ledger.clone());
        desk.limit(LIMIT);
        let want = desk.holding().granted.saturating_add(Amount::new(200));
        let place = Place {
            id: PlaceId::new(u64::MAX),
            need: Amount::new(1),
            most: Amount::new(1),
            is_last_call: false,
        };
        let (budget, window, places, urgency) = (CHARGE.budget, None, vec![place], Urgency::CanWait);
        let asks = vec![Ask { budget, window, places, want, urgency }];
        desk.apply(Command::Sync(Sync {
            session: desk.session,
            sequence,
            generation: 0,
            reports: vec![],
            asks,
            overspent: vec![],
        }));
        assert!(desk.round().is_none());
        shown.push(desk.ledger.clone());
    }
    shown
}

/// As fast as it can be done, so that a settlement that found the account closed finds it open a moment later.
#[test]
fn a_refund_that_meets_a_closing_or_an_opening_is_lost_to_nobody() {
    let (mut desk, wallet, tally) = (Desk::new(), Wallet::new(SessionId::new(1)), Tally::default());
    ask(&mut desk, &wallet);
    let shown = openings_and_closings(&mut desk);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for spender in 0..SPENDERS {
            let (wallet, tally, is_over) = (&wallet, &tally, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Acquire) {
                    spend(wallet, tally, spender, 10);
                }
            });
        }
        for ledger in &shown {
            // One that waits has the watermark raised, and gives up.
            let id = wallet.queue([CHARGE].into(), tokens(1), NOW, MonoTime::NEVER);
            wallet.follow(ledger, NOW);
            flush(&wallet);
            wallet.leave(id);
            check(&wallet);
            thread::yield_now();
        }
        is_over.store(true, Ordering::Release);
    });
    check_that_no_unit_is_lost(&wallet, &tally);
    assert!(tally.admitted.load(Ordering::Relaxed) > OPENINGS, "hardly anybody got anything");
}

/// Requests of one spender that end while the session does, each with two more than it reserved. What is not in the journal is recorded
/// again when it ends, as those do who wait for the journal.
fn overrun(wallet: &Wallet, under_way: Vec<Reservation>) {
    let mut overruns = Vec::new();
    for reservation in under_way {
        let mut overrun = reservation.settle(&tokens(3));
        let _owed = wallet.record_or_owe(&mut overrun);
        overruns.push(overrun);
    }
    while !wallet.is_fenced() {
        thread::yield_now();
    }
    for mut overrun in overruns {
        if !overrun.is_durable() {
            let _owed = wallet.record_or_owe(&mut overrun);
        }
    }
}

/// Writes the journal until the session is over, and once more. The overrun that it says in the end.
fn keep_journal(wallet: &Wallet, mut said: Amount) -> Amount {
    loop {
        let was_fenced = wallet.is_fenced();
        let marks = wallet.marks(NOW);
        said = marks.lines.last().map_or(said, |line| line.overrun);
        wallet.journalled(&marks, NOW);
        if was_fenced {
            return said;
        }
        thread::yield_now();
    }
}

#[test]
fn what_goes_beyond_reservations_while_the_session_ends_is_told_once_by_its_journal_or_as_overspent() {
    for round in 0..200_u32 {
        let (mut desk, wallet) = (Desk::new(), Wallet::new(SessionId::new(1)));
        ask(&mut desk, &wallet);
        let reserve = || {
            flush(&wallet);
            wallet.reserve(&[CHARGE], tokens(1), NOW).unwrap()
        };
        let [one, other] = [0, 1].map(|_| std::iter::repeat_with(reserve).take(20).collect::<Vec<_>>());
        // One in the journal before it ends and one after its end, so that each round has both, whoever runs when.
        let (first, last) = (reserve(), reserve());
        let _owed = wallet.record_or_owe(&mut first.settle(&tokens(3)));
        flush(&wallet);
        let count = 42;
        let said = thread::scope(|scope| {
            let journal = scope.spawn(|| keep_journal(&wallet, Amount::new(2)));
            scope.spawn(|| overrun(&wallet, one));
            scope.spawn(|| overrun(&wallet, other));
            (0..round % 40).for_each(|_| thread::yield_now());
            wallet.fence();
            journal.join().unwrap()
        });
        overrun(&wallet, vec![last]);
        let owed = wallet.overdrafts().settled(CHARGE.budget);
        assert_eq!(said.get() + owed.get(), 2 * count, "G1: {said} in the journal, {owed} owed");
        assert!(!said.is_zero() && !owed.is_zero());
    }
}
