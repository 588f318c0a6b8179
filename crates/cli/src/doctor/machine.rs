//! The checks of a node's file and of the machine it is for. The node may run or not.

use super::finding::{Findings, State, up_to};
use quorate_domain::Clock;
use quorate_node::{FirstStart, Settings, SystemClock};
use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a commit writes, and how often it is tried.
const BLOCK: [u8; 4096] = [0x5A; 4096];
const SYNCS: usize = 50;
const SLOW_SYNC: Duration = Duration::from_millis(50);
const BAD_SYNC: Duration = Duration::from_millis(500);
/// Two for each request, and some for the peers and the files.
const FILES_WELL: u64 = 65_536;
const FILES_FEW: u64 = 4_096;

/// Examines the file and the machine.
pub(super) fn examine(config: &Path, findings: &mut Findings) {
    let settings = match Settings::load(config) {
        Ok(settings) => settings,
        Err(error) => {
            let next = "correct the file; `quorate config validate FILE` checks it again";
            findings.add("file", (State::Fail, error.to_string().replace('\n', " ")), next);
            return;
        }
    };
    findings.ok("file", format!("{} can be used", config.display()));
    secrets(config, &settings, findings);
    open_files(findings);
    if !settings.data_dir.exists() {
        findings.ok("data", format!("{} will be made", settings.data_dir.display()));
        return;
    }
    rights(&settings.data_dir, findings);
    room(&settings, findings);
    syncs(&settings.data_dir, findings);
}

fn rights(dir: &Path, findings: &mut Findings) {
    match mode(dir) {
        Ok(0) => findings.ok("data", format!("{} is closed to others", dir.display())),
        Ok(_) => {
            let said = format!("{} is open to others, and holds secrets", dir.display());
            findings.add("data", (State::Fail, said), "chmod 700 it");
        }
        Err(error) => {
            findings.add(
                "data",
                (State::Fail, format!("{}: {error}", dir.display())),
                "run this as the user of the node",
            );
        }
    }
}

/// What others than the owner may do with it.
fn mode(path: &Path) -> io::Result<u32> {
    Ok(path.metadata()?.permissions().mode() & 0o077)
}

/// Files that hold secrets: the join token, and those that the configuration takes values from.
fn secrets(config: &Path, settings: &Settings, findings: &mut Findings) {
    let text = std::fs::read_to_string(config).unwrap_or_default();
    let mut files: Vec<PathBuf> = named_files(&text);
    if let FirstStart::Join(token) = &settings.cluster.first_start {
        files.push(token.clone());
    }
    for file in files {
        let shown = file.display();
        let next = "chmod 600 it";
        match mode(&file) {
            Ok(0) => findings.ok("secrets", format!("{shown} is closed to others")),
            Ok(_) => findings.add("secrets", (State::Warn, format!("{shown} is open to others")), next),
            Err(error) => {
                findings.add(
                    "secrets",
                    (State::Warn, format!("{shown}: {error}")),
                    "see that the node can read it",
                );
            }
        }
    }
}

/// The paths in `${file:PATH}`.
fn named_files(text: &str) -> Vec<PathBuf> {
    let ends = text.split("${file:").skip(1).filter_map(|rest| rest.split_once('}'));
    ends.map(|(path, _)| PathBuf::from(path)).collect()
}

fn open_files(findings: &mut Findings) {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let state = match limit {
        FILES_WELL.. => State::Ok,
        FILES_FEW..FILES_WELL => State::Warn,
        0..FILES_FEW => State::Fail,
    };
    let next = "raise it for the node, as by LimitNOFILE= of systemd: each request takes two";
    findings.add("open files", (state, format!("{limit} may be open, by this shell's limit")), next);
}

fn room(settings: &Settings, findings: &mut Findings) {
    let found = match statvfs(&settings.data_dir) {
        Ok(found) => found,
        Err(error) => {
            findings.add("room", (State::Fail, error.to_string()), "see that the disk is there");
            return;
        }
    };
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    let percent = (used * 100).div_ceil(used.saturating_add(found.f_bavail).max(1));
    let limits = settings.machine;
    let left = found.f_bavail.saturating_mul(found.f_frsize);
    let state = if left > limits.headroom_bytes {
        State::Ok
    } else {
        up_to(percent, u64::from(limits.warn_percent), u64::from(limits.read_only_percent))
    };
    let left = left >> 20;
    findings.add(
        "room",
        (state, format!("{percent} % of the disk are used, {left} MiB are left")),
        "make room",
    );
}

fn syncs(dir: &Path, findings: &mut Findings) {
    let path = dir.join("doctor.tmp");
    let measured = measure(&path);
    // It is measured again next time; what is left takes no room to speak of.
    let removed = std::fs::remove_file(&path);
    match measured.and_then(|slowest| removed.map(|()| slowest)) {
        Ok(slowest) => {
            let state = up_to(slowest, SLOW_SYNC, BAD_SYNC);
            let said = format!(
                "the slowest of {SYNCS} writes of 4 KiB took {:.1} ms",
                slowest.as_secs_f64() * 1_000.0
            );
            findings.add(
                "fsync",
                (state, said),
                "give the node a disk of its own, or a faster one: every change waits for it",
            );
        }
        Err(error) => {
            findings.add("fsync", (State::Fail, error.to_string()), "run this as the user of the node");
        }
    }
}

/// The slowest of some writes that are synced.
fn measure(path: &Path) -> io::Result<Duration> {
    let clock = SystemClock::start();
    let mut file = std::fs::File::create(path)?;
    let mut slowest = Duration::ZERO;
    for _ in 0..SYNCS {
        let begun = clock.mono();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        slowest = slowest.max(clock.mono().since(begun));
    }
    Ok(slowest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_values_come_from_are_found() {
        let text = "a = \"${file:/run/a}\"\nb = \"Bearer ${file:/run/b} ${env:C}\"";
        assert_eq!(named_files(text), ["/run/a", "/run/b"].map(PathBuf::from));
    }
}
