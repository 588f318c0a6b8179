//! How long one agreed change takes, one after the other, over the admin API of the leader.

use crate::clock;
use crate::quorate::Administrator;
use crate::statistics;
use anyhow::Result;
use serde_json::json;
use std::time::Duration;

const WRITES: u32 = 300;

/// The times of single changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteTimes {
    /// Half took no longer.
    pub(crate) p50: Duration,
    /// All but one in a hundred took no longer.
    pub(crate) p99: Duration,
}

/// Changes the description of one team again and again.
pub(crate) async fn measure(leader: &mut Administrator) -> Result<WriteTimes> {
    let mut micros = Vec::new();
    for number in 0..WRITES {
        let team =
            json!({"name": "search", "organisation": "acme", "description": format!("change {number}")});
        let sent = clock::now();
        leader.call("PUT", "/teams/search", &team).await?;
        micros.push(u32::try_from((clock::now() - sent).as_micros())?);
    }
    let mut at = |permille| Duration::from_micros(statistics::quantile(&mut micros, permille).into());
    Ok(WriteTimes { p50: at(500), p99: at(990) })
}
