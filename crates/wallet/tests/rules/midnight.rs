//! The end of a window that many budgets share: what it takes in messages to the ledger.

use crate::cluster::*;
use quorate_domain::{Amount, KeyId, LogTime, Period, Subject, Unit, WindowId};
use quorate_ledger::*;
use quorate_wallet::Charge;
use std::time::Duration;

const KEYS: u64 = 1_000;

fn budget_of(cluster: &mut Cluster, key: u64) -> Charge {
    let (unit, kind, limit) = (Unit::Tokens, Kind::Fixed(Period::Minute), Amount::new(1_000));
    let subject = Subject::Key(KeyId::new(key));
    let spec =
        BudgetSpec { subject, unit, kind, limit, auto_resolve: AutoResolve::Never, reserve: Reserve::Bound };
    match cluster.apply(Command::PutBudget(PutBudget { spec, expected: Expected::Absent })) {
        Outcome::BudgetStored { budget, .. } => Charge { budget, unit, reserve: Reserve::Bound },
        other => panic!("{other:?}"),
    }
}

/// Messages until a request on each of these budgets was served.
fn messages(cluster: &mut Cluster, budgets: &[Charge], millis: u64) -> usize {
    for budget in budgets {
        cluster.queue(&[*budget], 10, at(millis));
    }
    let (mut said, mut served) = (0, 0);
    while served < budgets.len() {
        cluster.talk(at(millis)).expect("somebody waits");
        said += 1;
        served += serve(&cluster.wallet, at(millis)).len();
    }
    said
}

#[test]
fn the_windows_of_a_thousand_keys_are_opened_by_two_messages_of_a_node_that_had_grants_in_the_last_ones() {
    let mut cluster = Cluster::new(100, 100, Kind::Fixed(Period::Minute));
    let budgets: Vec<_> = (1..=KEYS).map(|key| budget_of(&mut cluster, key)).collect();
    assert_eq!(messages(&mut cluster, &budgets, 1), 1);
    cluster.pass(60_000);
    // The first is told that the windows are over, for all keys at once.
    assert_eq!(messages(&mut cluster, &budgets, 60_001), 2);
}

#[test]
fn the_windows_of_a_thousand_keys_in_use_begin_with_one_entry_and_one_write_that_is_about_none_of_them() {
    const SOON: u64 = 55_100;
    let mut cluster = Cluster::new(100, 100, Kind::Fixed(Period::Minute));
    let budgets: Vec<_> = (1..=KEYS).map(|key| budget_of(&mut cluster, key)).collect();
    messages(&mut cluster, &budgets, 1);
    cluster.pass(SOON - 1);
    cluster.apply(Command::Tick);
    // Used as late as that, so that all of them are asked for.
    messages(&mut cluster, &budgets, SOON);
    let is_ahead = |ask: &&Ask| ask.window == Some(WindowId::beginning(LogTime::from_millis(60_000)));
    let asked = cluster.talk(at(SOON + 200)).unwrap().asks.iter().filter(is_ahead).count();
    flush(&cluster.wallet, at(SOON + 200));
    cluster.pass(60_000 - SOON);
    cluster.apply(Command::Tick);
    cluster.follow(at(60_000));
    let marks = cluster.wallet.marks(at(60_000));
    assert_eq!((asked, marks.lines.len(), marks.is_empty()), (budgets.len(), 0, false));
    cluster.wallet.journalled(&marks, at(60_000));
    let served = budgets.iter().filter(|it| cluster.wallet.reserve(&[**it], cost(10), at(60_000)).is_ok());
    assert_eq!(served.count(), budgets.len());
}

#[test]
fn asking_again_and_again_keeps_nobody_from_reporting_however_many_budgets_are_in_use() {
    let mut cluster = Cluster::new(100, 100, Kind::Fixed(Period::Minute));
    let budgets: Vec<_> = (1..=KEYS + 1).map(|key| budget_of(&mut cluster, key)).collect();
    messages(&mut cluster, &budgets, 1);
    cluster.queue(&[budgets[0]], 900, at(200));
    let speech = cluster.wallet.speech(&cluster.ledger, false, at(200)).expect("somebody waits");
    let answers = cluster.deliver(&speech);
    cluster.wallet.heard(&speech, &answers, at(200), at(200));
    assert!(cluster.wallet.is_report_due(at(260), Duration::from_millis(250)), "the others had no turn");
}
