//! Lines of the journal: how far accounts may be spent before the next ones, and which windows have begun.

use crate::account::{Account, Statement};
use quorate_domain::Amount;
use quorate_ledger::Begun;
use std::sync::Arc;

/// What is written to the journal at once.
#[derive(Clone, Debug)]
pub struct Marks {
    /// Account by account.
    pub lines: Vec<Marked>,
    /// How far log time is known to have come.
    pub begun: Begun,
    /// A window of which something was granted waits for nothing but this to begin.
    pub(crate) begins: bool,
}

impl Marks {
    /// Whether there is no need to write anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty() && !self.begins
    }
}

/// A line of the journal about one account: to be written, or written.
#[derive(Clone, Debug)]
pub struct Marked {
    /// The account.
    pub account: Arc<Account>,
    /// No more than this will be spent before the next line.
    pub spent_bound: Amount,
    /// Settled by now.
    pub settled: Amount,
    /// Billed beyond what was reserved by now.
    pub overrun: Amount,
}

impl Marked {
    pub(crate) fn new(account: Arc<Account>, spent_bound: Amount) -> Self {
        let Statement { used, overrun, .. } = account.statement();
        Self { account, spent_bound, settled: used, overrun }
    }
}
