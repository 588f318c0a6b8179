//! What has happened, for people; and a digest of it, by which two runs are compared.

use crate::clock::{millis, now};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// The story of a run.
#[derive(Debug)]
pub(crate) struct Story {
    start: Instant,
    digest: AtomicU64,
    lines: Option<Mutex<Vec<String>>>,
}

impl Story {
    pub(crate) fn new(start: Instant, tells: bool) -> Self {
        Self { start, digest: AtomicU64::new(0), lines: tells.then(Mutex::default) }
    }

    /// Something that belongs to the digest alone.
    pub(crate) fn mix(&self, words: &[u64]) {
        let at = u64::try_from((now() - self.start).as_micros()).unwrap_or(u64::MAX);
        let mixed = words.iter().fold(self.digest.load(Ordering::Relaxed) ^ at, |digest, word| {
            (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
        });
        self.digest.store(mixed, Ordering::Relaxed);
    }

    /// Something that people want to read.
    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        self.mix(&[1]);
        if let Some(lines) = &self.lines {
            let at = millis(now() - self.start);
            lines.lock().push(format!("{:>4}.{:03}  {}", at / 1_000, at % 1_000, line()));
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest.load(Ordering::Relaxed)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.as_ref().map(|lines| lines.lock().clone()).unwrap_or_default()
    }
}
