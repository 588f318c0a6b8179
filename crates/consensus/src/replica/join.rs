//! How a fresh node asks its way into a cluster.

use super::error::StartError;
use crate::machine::StorageId;
use crate::transport::{AskError, Caller, HandshakeError, Refusal, Request, Response, ask_once};
use quorate_domain::{Clock, ClusterId, NodeId, Span};
use std::time::Duration;

/// How long all seeds together are tried: a cluster that starts at the same time must first elect a leader.
const PATIENCE: Duration = Duration::from_secs(30);
const ONE_QUESTION: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// Asks the seeds, and whoever they name, until one lets this node in.
pub(super) async fn join(
    caller: &Caller,
    seeds: &[String],
    (storage, address): (StorageId, &str),
    clock: &dyn Clock,
) -> Result<(ClusterId, NodeId), StartError> {
    let request = Request::Join { storage, address: address.to_owned() };
    let deadline = clock.mono().plus(Span::from_millis(PATIENCE.as_millis().try_into().unwrap_or(u64::MAX)));
    let mut cause = "no seed was given".to_owned();
    let mut turn = seeds.iter().cycle();
    let mut hint = None;
    let mut asked = String::new();
    while let Some(seed) = hint.take().or_else(|| turn.next().cloned()) {
        match ask_once(caller, &seed, &request, ONE_QUESTION).await {
            Ok(Response::Joined { cluster, node }) => return Ok((cluster, node)),
            Ok(Response::NotLeader(leader)) => {
                cause = "it does not lead and knows no leader".to_owned();
                hint = leader.map(|leader| leader.address);
            }
            Ok(other) => cause = format!("{other:?}"),
            Err(AskError::Handshake(HandshakeError::Refused(refusal))) if refusal != Refusal::NotReady => {
                return Err(StartError::Refused { seed, refusal });
            }
            Err(error) => cause = error.to_string(),
        }
        asked = seed;
        if clock.mono() >= deadline {
            break;
        }
        if hint.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Err(StartError::NotJoined { within: PATIENCE, seed: asked, cause })
}

/// Makes sure that a node that has a place belongs to the cluster of these seeds. Seeds that are away say nothing.
pub(super) async fn compare(caller: &Caller, seeds: &[String]) -> Result<(), StartError> {
    for seed in seeds {
        let asked = ask_once(caller, seed, &Request::ReadIndex, ONE_QUESTION).await;
        if let Err(AskError::Handshake(HandshakeError::Refused(refusal))) = asked
            && matches!(refusal, Refusal::Cluster { .. } | Refusal::Secret)
        {
            return Err(StartError::Refused { seed: seed.clone(), refusal });
        }
    }
    Ok(())
}
