//! Whether a session may spend, as its node knows it. Shared by all its accounts: what becomes of a request that ends after its session
//! is decided by the account it took from.

use std::sync::atomic::{AtomicU8, Ordering};

/// How far the life of a session has come. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It spends.
    Open,
    /// Its node leaves: nothing more is reserved, what runs is settled and told.
    Draining,
    /// It is over for the ledger: nothing that is said in its name has any effect.
    Fenced,
}

/// The life of one session.
#[derive(Debug)]
pub(crate) struct Life(AtomicU8);

impl Default for Life {
    fn default() -> Self {
        Self(AtomicU8::new(Stage::Open as u8))
    }
}

impl Life {
    pub(crate) fn drain(&self) {
        self.comes_to(Stage::Draining);
    }

    pub(crate) fn fence(&self) {
        self.comes_to(Stage::Fenced);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) == Stage::Open as u8
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.0.load(Ordering::Acquire) == Stage::Fenced as u8
    }

    fn comes_to(&self, stage: Stage) {
        self.0.fetch_max(stage as u8, Ordering::AcqRel);
    }
}
