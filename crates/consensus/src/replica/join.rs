//! How a fresh node asks its way into a cluster.

use super::error::StartError;
use crate::host::Network;
use crate::transport::{AskError, Caller, HandshakeError, Joined, Local, Request, Response, Told, ask_once};
use crate::trust::{PublicKey, Stranger};
use quorate_domain::{Clock, LogTime, Span};
use quorate_membership::{JoinToken, Profile, StorageId};
use std::sync::Arc;
use std::time::Duration;

/// How long all seeds together are tried: a cluster that starts at the same time must first elect a leader.
const PATIENCE: Duration = Duration::from_secs(30);
const ONE_QUESTION: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// What a fresh node says of itself.
pub(super) struct Newcomer {
    pub(super) storage: StorageId,
    pub(super) profile: Profile,
    pub(super) key: PublicKey,
}

/// Asks the seeds of the token, and whoever they name, until one lets this node in.
pub(super) async fn join(
    network: Arc<dyn Network>,
    token: &JoinToken,
    newcomer: Newcomer,
    (clock, skew_max): (&Arc<dyn Clock>, Span),
) -> Result<Joined, StartError> {
    let stranger = Stranger::new(token.root, clock).map_err(|error| StartError::Tls(error.to_string()))?;
    let local = Local::Stranger(stranger, token.cluster);
    let caller = Caller { local, told: Told::default(), network };
    let Newcomer { storage, profile, key } = newcomer;
    let request = Request::Join { token: token.id, secret: token.secret.clone(), storage, profile, key };
    let deadline = clock.mono().plus(Span::of(PATIENCE));
    let mut cause = "no seed was given".to_owned();
    let mut turn = token.seeds.iter().cycle();
    let mut hint = None;
    let mut asked = String::new();
    while let Some(seed) = hint.take().or_else(|| turn.next().cloned()) {
        let sent = clock.mono();
        match ask_once(&caller, &seed, &request, ONE_QUESTION).await {
            Ok(Response::Joined(joined)) => {
                let took = Span::of(clock.mono().since(sent));
                let off = off_by(clock.wall(), joined.wall, took);
                if off > skew_max {
                    return Err(StartError::ClockOff { seed, off, max: skew_max });
                }
                return Ok(joined);
            }
            Ok(Response::NotAdmitted(rejection)) => return Err(StartError::NotAdmitted { seed, rejection }),
            Ok(Response::NotLeader(leader)) => {
                cause = "it does not lead and knows no leader".to_owned();
                hint = leader.map(|leader| leader.address);
            }
            Ok(other) => cause = format!("{other:?}"),
            Err(AskError::Handshake(HandshakeError::Refused(refusal) | HandshakeError::Refuses(refusal))) => {
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

/// By how much two clocks differ at the least. The other was read at some moment of the time that it took to ask.
fn off_by(own: LogTime, other: LogTime, took: Span) -> Span {
    let ahead = own.since(other).millis().saturating_sub(took.millis());
    Span::from_millis(ahead.max(other.since(own).millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_does_not_make_a_clock_wrong() {
        let off = |own, other, took| {
            let at = LogTime::from_millis;
            off_by(at(own), at(other), Span::from_millis(took)).millis()
        };
        assert_eq!(off(10_000, 10_000, 0), 0);
        assert_eq!(off(14_000, 10_000, 4_000), 0, "it may have been read four seconds ago");
        assert_eq!(off(14_000, 10_000, 500), 3_500);
        assert_eq!(off(10_000, 14_000, 4_000), 4_000, "nobody reads a clock before it is asked");
    }
}
