//! Many threads spend while the slow path grants, flushes and takes back: I2 must hold whatever the interleaving.

use quorate_domain::{Amount, BudgetId, MonoTime, NanoUsd, SessionId, Span, Tokens, Unit, Window};
use quorate_wallet::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

const CHARGE: Charge = Charge { budget: BudgetId::new(3), unit: Unit::Tokens };
const SPENDERS: u64 = 4;
const ROUNDS: u64 = 20_000;

#[test]
fn threads_never_spend_above_the_watermark_and_lose_nothing() {
    let wallet = Wallet::new(SessionId::new(1));
    let (spent, finished) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for spender in 0..SPENDERS {
            let (wallet, spent, finished) = (&wallet, &spent, &finished);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let bound = Cost { tokens: Tokens::new(1 + (round + spender) % 7), money: NanoUsd::ZERO };
                    let Ok(reservation) = wallet.reserve(&[CHARGE], &bound, MonoTime::default()) else {
                        continue;
                    };
                    let real = Cost { tokens: Tokens::new(bound.tokens.get() / 2), money: NanoUsd::ZERO };
                    spent.fetch_add(real.tokens.get(), Ordering::Relaxed);
                    let _within = reservation.settle(&real);
                }
                finished.fetch_add(1, Ordering::Release);
            });
        }
        slow_path(&wallet, &finished);
    });
    let account = wallet.account(CHARGE.budget).unwrap();
    let standing = account.standing();
    assert_eq!(standing.used.get(), spent.load(Ordering::Relaxed));
    assert_eq!(account.in_flight(), Amount::ZERO);
    assert!(standing.used > Amount::ZERO, "nobody got anything, so nothing was tested");
}

/// Grants, flushes and recalls in turn until every spender is done, checking I2 at each turn.
fn slow_path(wallet: &Wallet, finished: &AtomicU64) {
    let mut granted = 0;
    while finished.load(Ordering::Acquire) < SPENDERS {
        granted += 50;
        let grant = Grant {
            budget: CHARGE.budget,
            window: Window::LIFETIME,
            granted: Amount::new(granted),
            valid_for: Span::FOREVER,
            is_central: false,
        };
        wallet.learn(&grant, MonoTime::default(), MonoTime::default());
        let marks = wallet.marks(MonoTime::default());
        wallet.journalled(&marks, MonoTime::default());
        wallet.recall(|_| granted % 300 == 0);
        let reports = wallet.reports(MonoTime::default());
        for (account, standing) in &reports {
            // U never passes what the journal holds, nor U + R what was granted (I2).
            assert!(standing.used <= account.spent_bound());
            assert!(standing.used.get() + standing.returned.get() <= granted);
        }
        wallet.reported(&reports, MonoTime::default());
        thread::yield_now();
    }
}
