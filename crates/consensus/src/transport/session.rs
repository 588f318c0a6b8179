//! What one peer's connection keeps at the answering end: its stream of appends, and a snapshot on its way.

use super::listener::Answers;
use super::message::{AppendV1, Response};
use crate::host::{Disk, run_blocking};
use crate::raft::{self, Types};
use crate::store::{Incoming, SnapshotFile, Snapshots, StateStore, StoreError};
use futures_util::StreamExt as _;
use openraft::raft::AppendEntriesRequest;
use openraft::{Raft, Snapshot};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Appends of one stream that may wait for openraft, which itself takes 64.
const APPENDS_MAX: usize = 64;

type Request = AppendEntriesRequest<Types>;

/// The pipelined appends of a connection: there is one stream at a time, because a peer has one leader.
#[derive(Debug, Default)]
pub(super) struct Appends {
    current: Option<(u64, mpsc::Sender<(u64, Request)>)>,
}

impl Appends {
    /// Takes the next append of a stream. A new stream ends the one before.
    pub(super) async fn take(
        &mut self,
        (stream, id): (u64, u64),
        append: AppendV1,
        raft: &Raft<Types, StateStore>,
        (answers, tasks): (&Answers, &mut JoinSet<()>),
    ) -> Result<(), std::io::Error> {
        let request = Request::try_from(append)?;
        let running = self.current.take().filter(|(current, _)| *current == stream);
        let (_, queue) = running.unwrap_or_else(|| {
            let (queue, requests) = mpsc::channel(APPENDS_MAX);
            tasks.spawn(pump(raft.clone(), requests, answers.clone()));
            (stream, queue)
        });
        // A stream ends at its first conflict; what was sent behind it is void, and its sender knows.
        let _ = queue.send((id, request)).await;
        self.current = Some((stream, queue));
        Ok(())
    }
}

/// Feeds appends to openraft in order and answers in the same order.
async fn pump(raft: Raft<Types, StateStore>, requests: mpsc::Receiver<(u64, Request)>, answers: Answers) {
    let ids = Arc::new(Mutex::new(VecDeque::new()));
    let noted = ids.clone();
    let input = futures_util::stream::unfold(requests, move |mut requests| {
        let noted = noted.clone();
        async move {
            let (id, request): (u64, Request) = requests.recv().await?;
            noted.lock().push_back(id);
            Some((request, requests))
        }
    });
    let mut results = std::pin::pin!(raft.stream_append(Box::pin(input)));
    while let Some(result) = results.next().await {
        let Some(id) = ids.lock().pop_front() else { return };
        let Ok(result) = result else { return };
        answers.send(id, &Response::Append(result.into())).await;
    }
}

/// A snapshot that arrives piece by piece.
#[derive(Debug)]
pub(super) struct Arrival {
    snapshots: Arc<Snapshots>,
    current: Option<(u64, u64, Incoming)>,
}

impl Arrival {
    pub(super) const fn new(snapshots: Arc<Snapshots>) -> Self {
        Self { snapshots, current: None }
    }

    /// Begins anew.
    pub(super) fn begin(&mut self, transfer: u64, size: u64) -> Response {
        match self.snapshots.receive() {
            Ok(incoming) => {
                self.current = Some((transfer, size, incoming));
                Response::SnapshotProgress
            }
            Err(error) => Response::Failed(error.to_string()),
        }
    }

    /// Adds a piece, if it is the next one.
    pub(super) fn add(&mut self, transfer: u64, offset: u64, piece: &[u8]) -> Response {
        match &mut self.current {
            Some((current, size, incoming))
                if *current == transfer
                    && incoming.size() == offset
                    && offset + piece.len() as u64 <= *size =>
            {
                match incoming.write(piece) {
                    Ok(()) => Response::SnapshotProgress,
                    Err(error) => Response::Failed(error.to_string()),
                }
            }
            Some(_) | None => Response::Failed(format!("no snapshot goes on at {offset}")),
        }
    }

    /// Takes the complete file out, if it is complete. It still has to be installed.
    pub(super) fn end(&mut self, transfer: u64, checksum: u32) -> Result<Incoming, Response> {
        match self.current.take() {
            Some((current, size, incoming))
                if current == transfer && incoming.size() == size && incoming.checksum() == checksum =>
            {
                Ok(incoming)
            }
            Some(_) | None => Err(Response::Failed("the snapshot arrived damaged or in part".to_owned())),
        }
    }
}

/// Makes an arrived snapshot durable and hands it to openraft.
pub(super) async fn install(
    raft: &Raft<Types, StateStore>,
    disk: &dyn Disk,
    vote: raft::Vote,
    incoming: Incoming,
) -> Response {
    let finished = run_blocking(disk, move || {
        let file = incoming.finish()?;
        Ok::<(raft::SnapshotMeta, SnapshotFile), StoreError>((file.meta()?, file))
    });
    let (meta, snapshot) = match finished.await {
        Ok(Ok(finished)) => finished,
        Ok(Err(error)) => return Response::Failed(error.to_string()),
        Err(error) => return Response::Failed(error.to_string()),
    };
    match raft.install_full_snapshot(vote, Snapshot { meta, snapshot }).await {
        Ok(response) => Response::SnapshotInstalled { vote: (&response.vote).into() },
        Err(fatal) => Response::Failed(fatal.to_string()),
    }
}
