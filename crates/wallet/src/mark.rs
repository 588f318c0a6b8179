//! A line of the journal: how far an account may be spent before the next one.

use crate::account::{Account, Statement};
use quorate_domain::Amount;
use std::sync::Arc;

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
