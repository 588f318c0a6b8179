//! Keeps what this node holds as the cluster's authority wants it: trusts its roots, renews its certificate in time; and signs for
//! others while this node leads.

use super::core::Core;
use super::proposer;
use crate::host::run_blocking;
use crate::machine::{Command, Outcome};
use crate::transport::{Certified, Lane, Request, Response};
use crate::trust::{self, Held, Lifetime, PublicKey};
use quorate_domain::{LogTime, NodeId, Span};
use quorate_membership::{self as membership, Certificate, Root, RootId};
use std::sync::Arc;
use std::time::Duration;

/// How often the two are compared.
const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs until the replica stops.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(cause) = follow(&core).await {
            tracing::debug!(cause, "the node's certificate is not as it should be yet");
        }
    }
}

/// What the authority has, copied out of the table.
struct Wanted {
    roots: Vec<Vec<u8>>,
    newest: RootId,
    signer: RootId,
    is_trust_known: bool,
    is_certificate_known: bool,
}

async fn follow(core: &Arc<Core>) -> Result<(), String> {
    let held = core.keyring.held();
    let Some(wanted) = wanted(core, &held) else { return Ok(()) };
    if held.roots != wanted.roots || held.founding.is_some() {
        let trusting = Held { roots: wanted.roots, founding: None, ..held.clone() };
        hold(core, trusting).await?;
        tracing::info!(newest = %wanted.newest, "this node trusts the roots of its cluster");
    }
    if !wanted.is_trust_known {
        let command = membership::Command::Trust { node: core.node, root: wanted.newest };
        propose(core, command).await?;
    }
    if held.issued_by() != wanted.signer || is_due(&held, core.clock.wall()) {
        return renew(core).await;
    }
    if !wanted.is_certificate_known {
        let certificate = Certificate { root: held.issued_by(), since: held.since, until: held.until };
        propose(core, membership::Command::Certify { node: core.node, certificate }).await?;
    }
    Ok(())
}

fn wanted(core: &Core, held: &Held) -> Option<Wanted> {
    let members = core.state.membership.read();
    let (authority, own) = (members.authority()?, members.get(core.node)?);
    let newest = authority.newest().id();
    Some(Wanted {
        roots: authority.trusted().map(|root| root.certificate.clone()).collect(),
        newest,
        signer: authority.signer().id(),
        is_trust_known: own.trusts == Some(newest),
        is_certificate_known: own.certificate.is_some_and(|known| known.root == held.issued_by()),
    })
}

/// Whether less than a third of its time is left.
fn is_due(held: &Held, now: LogTime) -> bool {
    now.since(held.since).millis() / 2 >= held.until.since(held.since).millis() / 3
}

/// Has a certificate made for a fresh key.
async fn renew(core: &Arc<Core>) -> Result<(), String> {
    let key = trust::draw().map_err(|error| error.to_string())?;
    let public = trust::public(&key).map_err(|error| error.to_string())?;
    let Certified { certificate, issuer, since, until } = ask(core, public).await?;
    let held = Held { key, certificate, issuer, since, until, ..core.keyring.held() };
    hold(core, held).await?;
    tracing::info!(until = until.millis(), "this node has a new certificate");
    Ok(())
}

async fn ask(core: &Arc<Core>, key: PublicKey) -> Result<Certified, String> {
    let leader = core.leader().ok_or("there is no leader")?;
    if leader == core.node {
        return certify(core, core.node, key).await;
    }
    let link = core.link(leader).ok_or("the leader's address is not known")?;
    match link.ask(Lane::Control, &Request::Certify { key }, PATIENCE).await {
        Ok(Response::Certified(certified)) => Ok(certified),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Signs a certificate for a member, and has everybody know of it. Only the leader does this.
pub(super) async fn certify(core: &Core, node: NodeId, key: PublicKey) -> Result<Certified, String> {
    let signer = signer(core).ok_or("the cluster has no authority yet")?;
    let now = core.clock.wall();
    let life = Lifetime { since: now, until: lifetime_end(&signer, now, core.certificates) };
    let certificate =
        trust::sign(&signer, (core.cluster, node), key, life).map_err(|error| error.to_string())?;
    let known = Certificate { root: signer.id(), since: life.since, until: life.until };
    propose(core, membership::Command::Certify { node, certificate: known }).await?;
    Ok(Certified { certificate, issuer: signer.certificate, since: life.since, until: life.until })
}

/// A certificate that outlives its root is not valid.
fn lifetime_end(root: &Root, now: LogTime, lifetime: Span) -> LogTime {
    now.plus(lifetime).min(root.until)
}

fn signer(core: &Core) -> Option<Root> {
    Some(core.state.membership.read().authority()?.signer().clone())
}

async fn hold(core: &Arc<Core>, held: Held) -> Result<(), String> {
    let keyring = Arc::clone(&core.keyring);
    let kept = run_blocking(&*core.disk, move || keyring.replace(held)).await;
    kept.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

async fn propose(core: &Core, command: membership::Command) -> Result<(), String> {
    match proposer::propose(core, Command::Membership(command), PATIENCE).await {
        Ok(Outcome::Membership(membership::Outcome::Done)) => Ok(()),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}
