//! How a node becomes a member: it resumes, founds, joins, or waits to be told which.

use crate::founding::Founder;
use crate::waiting_room::{Call, WaitingRoom};
use crate::{FirstStart, Settings, next_step};
use anyhow::Result;
use quorate_consensus::{Identity, Replica, Runner, Start, StartError, Timings};
use quorate_domain::{Clock, NodeId};
use quorate_gateway::admin::{Initialised, SetupError};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A node that belongs to a cluster.
pub(crate) struct Member {
    pub(crate) replica: Replica,
    pub(crate) runner: Runner,
    /// Why it founds a cluster, if it does.
    pub(crate) founder: Option<Founder>,
    /// Whether this is its first start.
    pub(crate) is_new: bool,
}

/// How a node becomes a member.
pub(crate) struct Entrance<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) metrics: quorate_consensus::Metrics,
}

impl Entrance<'_> {
    /// Resumes, founds, joins, or waits to be told; `None` if nobody is left to tell it.
    pub(crate) async fn become_member(&self, room: WaitingRoom) -> Result<Option<Member>> {
        let first = match &self.settings.cluster.first_start {
            FirstStart::Found => Start::Found,
            FirstStart::Join(seeds) => Start::Join { seeds: seeds.clone() },
            FirstStart::Wait => Start::Resume,
        };
        let founds = first == Start::Found;
        let place = Identity::load(&self.settings.data_dir)?.and_then(|identity| identity.place);
        let is_new = place.is_none();
        match self.start(first).await {
            Ok((replica, runner)) => {
                let is_founder = place.map_or(founds, |place| place.founder);
                let founder = is_founder.then_some(Founder::Alone);
                Ok(Some(Member { replica, runner, founder, is_new }))
            }
            Err(StartError::NoIdentity) => self.wait_to_be_told(room).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn wait_to_be_told(&self, mut room: WaitingRoom) -> Result<Option<Member>> {
        tracing::info!(
            "this node belongs to no cluster; run `quorate cluster init` or `quorate cluster join`"
        );
        loop {
            match room.call().await {
                None => return Ok(None),
                Some(Call::Init(caller)) => return self.init(caller).await.map(Some),
                Some(Call::Join(seeds, caller)) => match self.start(Start::Join { seeds }).await {
                    Ok((replica, runner)) => {
                        drop(caller.send(Ok::<NodeId, _>(replica.node())));
                        return Ok(Some(Member { replica, runner, founder: None, is_new: true }));
                    }
                    // The operator may have mistyped a seed: wait for a better one.
                    Err(error) => {
                        let next = next_step::of_start(&error);
                        drop(caller.send(Err(SetupError::NoAnswer { cause: error.to_string(), next })));
                    }
                },
            }
        }
    }

    async fn init(
        &self,
        caller: oneshot::Sender<std::result::Result<Initialised, SetupError>>,
    ) -> Result<Member> {
        match self.start(Start::Found).await {
            Ok((replica, runner)) => {
                Ok(Member { replica, runner, founder: Some(Founder::Caller(caller)), is_new: true })
            }
            Err(error) => {
                drop(caller.send(Err(SetupError::Failed(error.to_string()))));
                Err(error.into())
            }
        }
    }

    async fn start(&self, start: Start) -> std::result::Result<(Replica, Runner), StartError> {
        if let Start::Join { seeds } = &start {
            tracing::info!(?seeds, "asking the seeds for a place in their cluster");
        }
        let cluster = &self.settings.cluster;
        let settings = quorate_consensus::Settings {
            dir: self.settings.data_dir.clone(),
            listen: cluster.peer_listen,
            advertise: cluster.peer_address.clone(),
            secret: cluster.secret.clone(),
            revocation_bound: self.settings.revocation_bound,
            timings: Timings {
                heartbeat: cluster.heartbeat,
                election_min: cluster.election,
                election_max: cluster.election * 2,
            },
            snapshots: quorate_consensus::SnapshotPolicy::default(),
        };
        Replica::start(settings, Arc::clone(self.clock), self.metrics.clone(), start).await
    }
}
