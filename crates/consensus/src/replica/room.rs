//! Looks how much room is left on the disk, says so, and makes some before there is none
//! (docs/adr/0027-machine-faults.md).

use super::core::Core;
use super::status;
use crate::host::{Room, run_blocking};
use quorate_membership::{DiskUse, Fill};
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);
/// Between two attempts to make room: a snapshot of a large state takes a while.
const MAKE_ROOM_EVERY: u32 = 60;
/// A snapshot of a small state, and what its file system needs beside it.
const SNAPSHOT_ROOM_MIN: u64 = 1 << 20;
/// For the snapshot, before what it holds goes from the log.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(30);

/// Runs until the replica stops.
pub(super) async fn run(core: Arc<Core>) {
    let mut rounds_since_made = MAKE_ROOM_EVERY;
    loop {
        match look(&core).await {
            Some((fill, left))
                if fill >= Fill::Scarce
                    && takes_a_snapshot(&core, left)
                    && rounds_since_made >= MAKE_ROOM_EVERY =>
            {
                rounds_since_made = 0;
                make_room(&core).await;
            }
            Some(_) | None => rounds_since_made = rounds_since_made.saturating_add(1),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether what is left takes a snapshot: one that fails stops the node.
fn takes_a_snapshot(core: &Core, left: u64) -> bool {
    let last = u64::try_from(core.metrics.snapshot.bytes.get()).unwrap_or(0);
    left >= SNAPSHOT_ROOM_MIN.max(last.saturating_mul(2))
}

/// How full the disk is, and how many bytes are left.
async fn look(core: &Core) -> Option<(Fill, u64)> {
    let (disk, dir) = (core.disk.clone(), core.dir.clone());
    let room = run_blocking(&*core.disk, move || disk.room(&dir)).await.and_then(|room| room);
    let (used_permille, left) = match room {
        Ok(room) => (room.used_permille(), room.left),
        Err(error) => {
            tracing::debug!(%error, "the disk does not say how much room it has");
            return None;
        }
    };
    core.metrics.machine.disk_used.set(f64::from(used_permille) / 1_000.0);
    let mut vitals = core.vitals.lock();
    let before = vitals.disk.map_or(Fill::Ample, |disk| disk.fill);
    let fill = core.limits.fill(used_permille, left, before);
    vitals.disk = Some(DiskUse { used_permille, fill });
    drop(vitals);
    if fill != before {
        tell(fill, used_permille / 10);
    }
    Some((fill, left))
}

fn tell(fill: Fill, used_percent: u16) {
    match fill {
        Fill::Ample => tracing::info!(used_percent, "there is room on the disk again"),
        Fill::Filling => tracing::warn!(used_percent, "the disk is filling up; make room"),
        Fill::Scarce => {
            tracing::error!(used_percent, "the disk is nearly full; the log is cut short, make room");
        }
        Fill::ReadOnly => {
            tracing::error!(used_percent, "the disk is almost full: operators can change nothing; make room");
        }
    }
}

/// Takes a snapshot and gives back what the log took until then.
async fn make_room(core: &Core) {
    let applied = status::status(core).applied;
    if core.raft.trigger().snapshot().await.is_err() {
        return;
    }
    let wait = core.raft.wait(Some(SNAPSHOT_PATIENCE));
    let taken = wait.metrics(
        |metrics| metrics.snapshot.is_some_and(|snapshot| snapshot.index >= applied),
        "a snapshot that makes room",
    );
    if let Err(error) = taken.await {
        tracing::warn!(%error, "no snapshot could be taken to make room");
        return;
    }
    if core.raft.trigger().purge_log(applied).await.is_err() {
        return;
    }
    let purged = wait.metrics(
        |metrics| metrics.purged.is_some_and(|purged| purged.index >= applied),
        "a log that was cut",
    );
    if let Err(error) = purged.await {
        tracing::info!(%error, "the log could not be cut short yet");
    }
    let log = core.log.clone();
    match run_blocking(&*core.disk, move || log.compact()).await {
        Ok(Ok(())) => tracing::info!(applied, "the log was cut short to make room"),
        Ok(Err(error)) => tracing::warn!(%error, "what the log took could not be given back"),
        Err(error) => tracing::warn!(%error, "what the log took could not be given back"),
    }
}

impl Room {
    /// How much is used of what this process could use, in thousandths, rounded up.
    fn used_permille(self) -> u16 {
        let usable = self.used.saturating_add(self.left);
        let permille = u128::from(self.used) * 1_000;
        u16::try_from(permille.div_ceil(u128::from(usable.max(1)))).unwrap_or(1_000)
    }
}
