//! Processes that are measured: started on a core, ended by their id, their CPU time read from `/proc`.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The kernel counts CPU time in hundredths of a second on every machine we run on.
const TICKS_PER_SECOND: f64 = 100.0;
const PAUSE: Duration = Duration::from_millis(20);
const READY_TRIES: usize = 3_000;

/// The core of what is measured; load and provider have the other.
pub(crate) const MEASURED_CORE: &str = "0";
pub(crate) const OTHER_CORE: &str = "1";

/// A process that ends with this value.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Starts a command on a core; its output goes to a file.
    pub(crate) fn start(core: &str, command: &[String], log: &std::path::Path) -> Result<Self> {
        let output = fs::File::create(log)?;
        let child = Command::new("taskset")
            .args(["-c", core])
            .args(command)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {command:?} by taskset"))?;
        Ok(Self(child))
    }

    /// Its id; `taskset` becomes the command, so it is the command's.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self, log: &std::path::Path) -> Result<()> {
        let ended = self.0.try_wait()?;
        ensure!(ended.is_none(), "ended: {ended:?}\n{}", fs::read_to_string(log).unwrap_or_default());
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // First those it started: they would be nobody's afterwards.
        for id in tree(self.id()).into_iter().rev() {
            let _ = Command::new("kill").arg(id.to_string()).stderr(Stdio::null()).status();
        }
        let _ = self.0.wait();
    }
}

/// Polls until something is there.
pub(crate) async fn poll<T>(what: &str, mut state: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..READY_TRIES {
        if let Some(found) = state()? {
            return Ok(found);
        }
        tokio::time::sleep(PAUSE).await;
    }
    anyhow::bail!("{what} did not come within a minute")
}

/// Keeps this process, and what it starts without saying otherwise, on a core.
pub(crate) fn stay_on(core: &str) -> Result<()> {
    let id = std::process::id().to_string();
    let status = Command::new("taskset").args(["-p", "-c", core, &id]).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "taskset cannot keep the load on core {core}");
    Ok(())
}

/// The CPU seconds that a process and all it started have used so far.
pub(crate) fn cpu_seconds(root: u32) -> f64 {
    let ticks: f64 = tree(root).into_iter().filter_map(|id| Some(stat(id)?.ticks)).sum();
    ticks / TICKS_PER_SECOND
}

/// The processes under one, itself first.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for id in ids {
        if let Some(stat) = stat(id) {
            children.entry(stat.parent).or_default().push(id);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(id) = found.get(next) {
        let of_this = children.remove(id).unwrap_or_default();
        found.extend(of_this);
        next += 1;
    }
    found
}

struct Stat {
    parent: u32,
    ticks: f64,
}

fn stat(id: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// After the name, which may hold anything: state, parent, …, user time, system time.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks: number(11)? + number(12)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let text = "7 (a) b) S 3 7 7 0 -1 4194560 1 0 0 0 120 30 0 0 20 0 1 0 5 0 0";
        let stat = parse_stat(text).expect("a stat line");
        assert_eq!(stat.parent, 3);
        assert!((stat.ticks - 150.0).abs() < 1e-9);
    }
}
