//! How a node becomes a member: it resumes, founds, joins, or waits to be told which.

use crate::founding::Founder;
use crate::waiting_room::{Call, WaitingRoom};
use crate::{FirstStart, Settings, next_step};
use anyhow::Result;
use quorate_consensus::{Identity, Replica, Runner, Start, StartError, Timings};
use quorate_domain::{Clock, NodeId, Secret};
use quorate_gateway::admin::{Initialised, SetupError};
use quorate_membership::JoinToken;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Between two looks for a join token.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
            FirstStart::Join(file) => token_in(file)?.map_or(Start::Resume, Start::Join),
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
            "this node belongs to no cluster; run `quorate cluster init`, or give it a join token of a cluster"
        );
        loop {
            let call = tokio::select! {
                call = room.call() => call,
                token = self.token_comes() => return self.join(token?).await.map(Some),
            };
            match call {
                None => return Ok(None),
                Some(Call::Init(caller)) => return self.init(caller).await.map(Some),
                Some(Call::Join(token, caller)) => match self.start(Start::Join(token)).await {
                    Ok((replica, runner)) => {
                        drop(caller.send(Ok::<NodeId, _>(replica.node())));
                        return Ok(Some(Member { replica, runner, founder: None, is_new: true }));
                    }
                    // The operator may have an old token: wait for a better one.
                    Err(error) => {
                        let next = next_step::of_start(&error);
                        drop(caller.send(Err(SetupError::NoAnswer { cause: error.to_string(), next })));
                    }
                },
            }
        }
    }

    /// Waits until somebody puts a token where one is looked for; for ever, if nobody said where.
    async fn token_comes(&self) -> Result<JoinToken> {
        let FirstStart::Join(file) = &self.settings.cluster.first_start else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            if let Some(token) = token_in(file)? {
                return Ok(token);
            }
        }
    }

    async fn join(&self, token: JoinToken) -> Result<Member> {
        let (replica, runner) = self.start(Start::Join(token)).await?;
        Ok(Member { replica, runner, founder: None, is_new: true })
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
        if let Start::Join(token) = &start {
            tracing::info!(seeds = ?token.seeds, cluster = format!("{:016x}", token.cluster.get()), "asking for a place in a cluster");
        }
        let cluster = &self.settings.cluster;
        let settings = quorate_consensus::Settings {
            dir: self.settings.data_dir.clone(),
            listen: cluster.peer_listen,
            advertise: cluster.peer_address.clone(),
            name: self.settings.name.clone(),
            zone: self.settings.zone.clone(),
            admin_address: self.settings.admin_address.clone(),
            certificates: cluster.certificates,
            levels: self.settings.levels,
            revocation_bound: self.settings.revocation_bound,
            timings: Timings {
                heartbeat: cluster.heartbeat,
                election_min: cluster.election,
                election_max: cluster.election * 3 / 2,
            },
            snapshots: quorate_consensus::SnapshotPolicy::default(),
            machine: self.settings.machine,
        };
        Replica::start(settings, Arc::clone(self.clock), self.metrics.clone(), start).await
    }
}

/// The token in a file; `None` while there is no file, or nothing in it.
fn token_in(file: &Path) -> Result<Option<JoinToken>, TokenFileError> {
    let failed = |cause: String| TokenFileError { file: file.to_owned(), cause };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => Secret::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    if text.expose().trim().is_empty() {
        return Ok(None);
    }
    JoinToken::parse(text.expose()).map(Some).map_err(|error| failed(error.to_string()))
}

/// What is in the file is no join token.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used: {cause}", file.display())]
pub(crate) struct TokenFileError {
    file: PathBuf,
    cause: String,
}
