//! Grants of the next window: asked for while the open one is in use, spent from the moment the journal knows that the log says
//! it has begun.

use crate::cluster::*;
use quorate_domain::{Amount, BootId, MonoTime, NodeId, Period, WindowId};
use quorate_ledger::*;
use quorate_wallet::{Marks, Withheld};

const MINUTE: u64 = 60_000;
/// Budgets are asked for at the earliest twenty-five and at the latest five seconds before their windows end.
const SOON: u64 = MINUTE - 4_900;
const NEXT: WindowId = WindowId::beginning(quorate_domain::LogTime::from_millis(MINUTE));

/// A request was served in the first minute, and its account is in use.
fn in_use() -> Cluster {
    let mut cluster = Cluster::new(1_000, 1_000, Kind::Fixed(Period::Minute));
    let _overrun = cluster.run(&[TEAM], 10, at(1)).settle(&cost(10));
    cluster.talk(at(1));
    cluster
}

fn pass_to(cluster: &mut Cluster, from: u64, to: u64) -> MonoTime {
    cluster.pass(to - from);
    cluster.apply(Command::Tick);
    at(to)
}

/// The same, granted of the next minute, just before it.
fn granted_ahead() -> Cluster {
    let mut cluster = in_use();
    let now = pass_to(&mut cluster, 1, SOON);
    let asks = cluster.talk(now).unwrap().asks;
    assert_eq!(asks.iter().map(|ask| ask.window).collect::<Vec<_>>(), [Some(NEXT)]);
    flush(&cluster.wallet, now);
    cluster
}

/// The log says that the next minute has begun.
fn log_says(cluster: &mut Cluster) -> MonoTime {
    let now = pass_to(cluster, SOON, MINUTE);
    cluster.follow(now);
    now
}

/// And the journal knows.
fn begins(cluster: &mut Cluster) -> MonoTime {
    let now = log_says(cluster);
    flush(&cluster.wallet, now);
    now
}

/// The wallet's node dies, and opens its next session by these writes to its journal. What of the next minute is free for others.
fn free_after_a_crash(mut cluster: Cluster, journal: &[Marks]) -> u64 {
    cluster.apply(Command::Tick);
    let session = cluster.wallet.session();
    let begun = journal.last().unwrap().begun;
    let marks = journal.iter().flat_map(Marks::written);
    let evidence =
        Evidence::Intact { generation: 9, marks: marks.filter(|mark| begun.allows(mark)).collect() };
    let (node, boot, previous) = (NodeId::new(2), BootId::new(9), session);
    cluster.apply(Command::OpenSession(OpenSession { node, boot, previous, evidence }));
    cluster.pool(TEAM)
}

#[test]
fn a_window_that_was_granted_of_ahead_is_spent_from_the_moment_it_begins_without_a_word() {
    let mut cluster = granted_ahead();
    let now = begins(&mut cluster);
    let reservation = cluster.wallet.reserve(&[TEAM], cost(10), now).unwrap();
    assert_eq!(reservation.taken().map(|(_, window, _)| window).collect::<Vec<_>>(), [NEXT]);
}

#[test]
fn nothing_of_it_is_spent_before_the_log_says_that_it_has_begun() {
    let cluster = granted_ahead();
    // The grant of the open window is over by this node's own clock, and no entry has come since.
    let refused = cluster.wallet.reserve(&[TEAM], cost(10), at(MINUTE)).map(|_| ());
    assert_eq!(refused, Err(Withheld::Short(TEAM.budget)));
    assert_eq!(cluster.account(TEAM).window().id, WindowId::LIFETIME, "the first window begins at zero");
}

#[test]
fn nor_before_the_journal_knows_which_takes_one_write_for_all_budgets() {
    let mut cluster = granted_ahead();
    assert!(!cluster.wallet.needs_flush());
    let now = log_says(&mut cluster);
    assert_eq!(cluster.wallet.reserve(&[TEAM], cost(10), now).map(|_| ()), Err(Withheld::Short(TEAM.budget)));
    assert!(cluster.wallet.needs_flush());
    let marks = cluster.wallet.marks(now);
    assert_eq!((marks.lines.len(), marks.is_empty(), marks.begun.upto), (0, false, NEXT.start()));
    cluster.wallet.journalled(&marks, now);
    assert!(cluster.wallet.reserve(&[TEAM], cost(10), now).is_ok());
    assert!(cluster.wallet.marks(now).is_empty());
}

#[test]
fn a_node_that_dies_before_a_window_begins_is_charged_nothing_of_it_however_late_it_returns() {
    let mut cluster = in_use();
    let now = pass_to(&mut cluster, 1, SOON);
    cluster.talk(now);
    let ahead = cluster.wallet.marks(now);
    assert!(ahead.lines.iter().any(|line| line.account.window().id == NEXT && !line.spent_bound.is_zero()));
    cluster.wallet.journalled(&ahead, now);
    cluster.pass(MINUTE - SOON + 1_000);
    assert_eq!(free_after_a_crash(cluster, &[ahead]), 1_000);
}

#[test]
fn one_that_dies_when_its_journal_knows_that_it_has_begun_is_charged_its_watermark() {
    let mut cluster = in_use();
    let now = pass_to(&mut cluster, 1, SOON);
    cluster.talk(now);
    let ahead = cluster.wallet.marks(now);
    cluster.wallet.journalled(&ahead, now);
    let now = log_says(&mut cluster);
    let begun = cluster.wallet.marks(now);
    cluster.wallet.journalled(&begun, now);
    let bound =
        cluster.wallet.reserve(&[TEAM], cost(10), now).map(|_| cluster.account(TEAM).spent_bound().get());
    assert_eq!(
        bound.map(|bound| (bound > 0, free_after_a_crash(cluster, &[ahead, begun]))),
        Ok((true, 1_000 - bound.unwrap()))
    );
}

#[test]
fn a_next_window_that_was_never_turned_to_does_not_come_after_a_later_one() {
    let mut cluster = granted_ahead();
    // The node stands still for two minutes, and hears first of the window that is open then.
    let now = pass_to(&mut cluster, SOON, 2 * MINUTE + 1);
    let _overrun = cluster.run(&[TEAM], 10, now).settle(&cost(10));
    let open = cluster.account(TEAM).window().id;
    assert_eq!(open.start().millis(), 2 * MINUTE);
    cluster.follow(now);
    flush(&cluster.wallet, now);
    cluster.follow(now);
    assert_eq!(cluster.account(TEAM).window().id, open);
    assert!(cluster.wallet.reserve(&[TEAM], cost(10), now).is_ok());
}

#[test]
fn a_request_that_waits_over_the_edge_is_served_from_what_was_granted_ahead() {
    let mut cluster = granted_ahead();
    let id = cluster.queue(&[TEAM], 10, at(MINUTE));
    assert_eq!(ids(&serve(&cluster.wallet, at(MINUTE))), []);
    let now = begins(&mut cluster);
    assert_eq!(ids(&serve(&cluster.wallet, now)), [id]);
}

#[test]
fn what_is_not_used_of_it_is_given_back_like_any_grant() {
    let mut cluster = granted_ahead();
    begins(&mut cluster);
    let idle = at(2 * MINUTE - 1);
    cluster.talk(idle);
    let granted = cluster.account(TEAM).granted();
    cluster.talk(idle);
    assert!(!granted.is_zero());
    assert_eq!(cluster.ledger.budget(TEAM.budget).unwrap().current().outstanding(), Amount::ZERO);
}

#[test]
fn a_node_that_leaves_gives_back_what_it_was_granted_ahead() {
    let mut cluster = granted_ahead();
    cluster.wallet.fence();
    cluster.wallet.give_back_all();
    cluster.talk(at(SOON));
    let next = cluster.ledger.budget(TEAM.budget).unwrap().next().unwrap();
    assert_eq!((next.outstanding(), cluster.wallet.is_at_rest()), (Amount::ZERO, true));
}

#[test]
fn a_budget_that_nobody_has_used_for_long_is_not_asked_for_ahead() {
    const HOUR: u64 = 60 * MINUTE;
    for (last_used, asked) in [(HOUR - 50_000, 1), (HOUR - 70_000, 0)] {
        let mut cluster = Cluster::new(1_000, 1_000, Kind::Fixed(Period::Hour));
        cluster.pass(last_used - 1);
        let _overrun = cluster.run(&[TEAM], 10, at(last_used)).settle(&cost(10));
        cluster.talk(at(last_used));
        let now = pass_to(&mut cluster, last_used, HOUR - 4_900);
        let asks = cluster.talk(now).map(|sync| sync.asks).unwrap_or_default();
        assert_eq!(asks.len(), asked, "{asks:?}");
    }
}

#[test]
fn an_answer_about_a_window_that_is_over_here_revives_nothing() {
    let mut cluster = granted_ahead();
    let now = at(MINUTE);
    cluster.queue(&[TEAM], 10, now);
    let speech = cluster.wallet.speech(&cluster.ledger, true, now).unwrap();
    cluster.pass(MINUTE - SOON - 1);
    // The ledger hears it in the last millisecond of the first minute.
    let answers = cluster.deliver(&speech);
    cluster.pass(1);
    let now = at(MINUTE + 1);
    cluster.apply(Command::Tick);
    cluster.follow(now);
    assert_eq!(serve(&cluster.wallet, now).len(), 1);
    cluster.wallet.heard(&speech, &answers, at(MINUTE), now);
    assert_eq!(cluster.account(TEAM).window().id, NEXT);
    while cluster.talk(now).is_some() {}
    let budget = cluster.ledger.budget(TEAM.budget).unwrap();
    assert_eq!(budget.account(WindowId::LIFETIME).unwrap().outstanding(), Amount::ZERO);
}

#[test]
fn of_a_window_that_an_answer_opened_the_journal_knows_with_its_first_mark() {
    let mut cluster = Cluster::new(1_000, 10_000, Kind::Fixed(Period::Minute));
    cluster.pass(60_000);
    cluster.queue(&[TEAM], 10, at(1));
    cluster.talk(at(1)).unwrap();
    let marks = cluster.wallet.marks(at(1));
    let [mark] = &marks.lines[..] else { panic!("one account is to be spent from: {marks:?}") };
    assert!(mark.account.window().id.start().millis() >= 60_000);
    assert!(marks.begun.upto >= mark.account.window().id.start(), "its mark would prove nothing: {marks:?}");
}

/// Its own replica is behind: it hears of the window by the answer that grants of it.
#[test]
fn a_window_that_an_answer_opens_has_begun_for_the_journal() {
    let mut cluster = Cluster::new(1_000, 1_000, Kind::Fixed(Period::Minute));
    let (behind, now) = (cluster.ledger.clone(), at(MINUTE));
    cluster.pass(MINUTE);
    cluster.queue(&[TEAM], 10, now);
    while serve(&cluster.wallet, now).is_empty() {
        let speech = cluster.wallet.speech(&behind, false, now).expect("somebody waits");
        let answers = cluster.deliver(&speech);
        assert!(!answers.iter().any(|answer| matches!(answer, Answer::WindowOver { .. })));
        cluster.wallet.heard(&speech, &answers, now, now);
    }
    assert_eq!(cluster.wallet.marks(now).begun.upto, NEXT.start());
}
