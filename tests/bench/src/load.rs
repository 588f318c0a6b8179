//! A closed loop: each connection sends its next request when the answer to the last one is complete.

use crate::clock;
use crate::http::Connection;
use crate::statistics;
use anyhow::Result;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What one measurement found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// Answers with status 200.
    pub(crate) answers: u64,
    /// Answers with another status, and connections that broke.
    pub(crate) errors: u64,
    /// Answers per second.
    pub(crate) per_second: f64,
    /// Half of the answers took no longer.
    pub(crate) p50: Duration,
    /// All but one in a hundred took no longer.
    pub(crate) p99: Duration,
}

/// Sends the same request on many connections, shared out among the addresses, for a while.
pub(crate) async fn run(
    addresses: &[SocketAddr],
    request: &[u8],
    connections: usize,
    slice: Duration,
) -> Result<Found> {
    let mut opened = Vec::with_capacity(connections);
    for number in 0..connections {
        opened.push(Connection::open(addresses[number % addresses.len()]).await?);
    }
    let start = clock::now();
    let mut tasks = JoinSet::new();
    for connection in opened {
        tasks.spawn(repeat(connection, request.to_vec(), start + slice));
    }
    let (mut micros, mut errors) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (of_one, failed) = done?;
        micros.extend(of_one);
        errors += failed;
    }
    let elapsed = (clock::now() - start).as_secs_f64();
    let answers = u64::try_from(micros.len())?;
    let mut at = |permille| Duration::from_micros(statistics::quantile(&mut micros, permille).into());
    #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53 answers")]
    let per_second = answers as f64 / elapsed;
    Ok(Found { answers, errors, per_second, p50: at(500), p99: at(990) })
}

/// The microseconds of each good answer, and how many were not good.
async fn repeat(mut connection: Connection, request: Vec<u8>, end: Instant) -> (Vec<u32>, u64) {
    let (mut micros, mut errors) = (Vec::new(), 0);
    loop {
        let sent = clock::now();
        if sent >= end {
            return (micros, errors);
        }
        match connection.exchange(&request).await {
            Ok(200) => micros.push(u32::try_from((clock::now() - sent).as_micros()).unwrap_or(u32::MAX)),
            Ok(_) => errors += 1,
            // A connection that broke cannot be used again.
            Err(_) => return (micros, errors + 1),
        }
    }
}
