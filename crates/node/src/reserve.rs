//! A file that only takes room, to be given up when the disk is full at a start: then the node starts, and somebody can see why it
//! stopped (docs/adr/0027-machine-faults.md).

use quorate_consensus::StoreError;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::fs::File;
use std::io;
use std::path::Path;

const NAME: &str = "reserve";
/// Of the file system, at most one part in so many.
const PART_MAX: u64 = 32;

/// What to do about the reserve at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Keep,
    Make,
    GiveUp,
    /// There is too little room to start.
    Refuse,
}

/// Makes the reserve if there is room for it; gives it up if the disk is full.
///
/// # Errors
/// When there is too little room to start.
pub(crate) fn keep(data_dir: &Path, wanted: u64) -> Result<(), StoreError> {
    if wanted == 0 {
        return Ok(());
    }
    let path = data_dir.join(NAME);
    let failed = |error: &io::Error| StoreError::Io { dir: data_dir.to_owned(), cause: error.to_string() };
    let found = statvfs(data_dir).map_err(|error| failed(&error.into()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let wanted = wanted.min(bytes(found.f_blocks) / PART_MAX);
    let held = path.metadata().map_or(0, |file| file.len());
    match step(bytes(found.f_bavail), held, wanted) {
        Step::Keep => Ok(()),
        Step::Make => {
            if let Err(error) = make(&path, wanted) {
                tracing::warn!(%error, wanted, "no room could be kept in reserve");
            }
            Ok(())
        }
        Step::GiveUp => {
            std::fs::remove_file(&path).map_err(|error| failed(&error))?;
            tracing::error!(held, "the disk is full: what was kept in reserve is given up; make room");
            Ok(())
        }
        Step::Refuse => Err(StoreError::DiskFull { dir: data_dir.to_owned() }),
    }
}

/// A start needs half of what is kept in reserve.
const fn step(left: u64, held: u64, wanted: u64) -> Step {
    let needed = wanted / 2;
    if left < needed {
        return if held > 0 && left + held >= needed { Step::GiveUp } else { Step::Refuse };
    }
    // What was just made must not make the next start a full one.
    if held < wanted && left + held >= wanted + wanted { Step::Make } else { Step::Keep }
}

fn make(path: &Path, wanted: u64) -> io::Result<()> {
    let file = File::create(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, wanted)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_made_while_there_is_room_and_given_up_when_there_is_none() {
        let step_at = |left, held| step(left, held, 64);
        assert_eq!(step_at(1_000, 0), Step::Make);
        assert_eq!(step_at(1_000, 64), Step::Keep);
        assert_eq!(step_at(100, 0), Step::Keep, "too little to put any of it aside");
        assert_eq!(step_at(31, 64), Step::GiveUp);
        assert_eq!(step_at(31, 0), Step::Refuse);
        assert_eq!(step_at(0, 20), Step::Refuse, "a remainder that helps nobody");
    }

    #[test]
    fn what_is_kept_in_reserve_takes_room() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), 1 << 20).unwrap();
        assert_eq!(dir.path().join(NAME).metadata().unwrap().len(), 1 << 20);
        keep(dir.path(), 1 << 20).unwrap();
    }
}
