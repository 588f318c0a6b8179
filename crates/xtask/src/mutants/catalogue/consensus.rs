//! Wrong versions of how nodes agree: told before it is on the disk, confirmed without asking, applied twice or not at all.

use crate::mutants::mutation::{Edit, Mutation};

const LOG: &str = "crates/consensus/src/store/log.rs";

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "entries-told-unsynced",
        why: "openraft is told that entries are on the disk before they are synced",
        edits: &[Edit {
            file: LOG,
            right: "let done = Done::Flushed { callback, entries, last, durable };",
            wrong: "drop((last, durable));
        callback.io_completed(Ok(()));
        let done = Done::Reply { entries, sender: tokio::sync::oneshot::channel().0 };",
        }],
        breaks: &["I9", "linearizable", "panic", "run", "start"],
    },
    Mutation {
        name: "vote-answered-unsynced",
        why: "a node that forgets its vote helps two nodes to lead, the latter of which the former does not know of",
        edits: &[Edit {
            file: LOG,
            right: "self.0.writer.write(vec![self.put_mark(VOTE, Kind::Vote, &VoteV1::from(vote))]).await?;",
            wrong: "let writes = vec![self.put_mark(VOTE, Kind::Vote, &VoteV1::from(vote))];
        let done = Done::Reply { entries: 0, sender: tokio::sync::oneshot::channel().0 };
        self.0.writer.submit(Change { writes, done }).await?;",
        }],
        breaks: &["I9", "linearizable", "panic", "run", "start"],
    },
    Mutation {
        name: "no-operation-id",
        why: "a proposal that is sent again is applied twice",
        edits: &[Edit {
            file: "crates/consensus/src/replica/proposer.rs",
            right: "Proposal { origin, command }",
            wrong: "Proposal { origin: origin.filter(|_| false), command }",
        }],
        breaks: &["linearizable"],
    },
    Mutation {
        name: "snapshot-name-unsynced",
        why: "the log is cut before the name of the snapshot that replaces it is on the disk",
        edits: &[Edit {
            file: "crates/consensus/src/store/snapshot.rs",
            right: "self.disk.sync_dir(&self.dir).map_err(|error| StoreError::from_io(&self.dir, &error))?;",
            wrong: "",
        }],
        breaks: &["I9", "linearizable", "panic", "run", "start"],
    },
    Mutation {
        name: "snapshot-not-in-memory",
        why: "a snapshot is installed on the disk, and the state is the one before it",
        edits: &[Edit {
            file: "crates/consensus/src/store/machine.rs",
            right: "store.state.restore(&meta, frozen);",
            wrong: "drop(frozen);",
        }],
        breaks: &["I9", "panic", "run", "start"],
    },
    Mutation {
        name: "read-not-confirmed",
        why: "whoever led before confirms reads of what it knows, when another has taken its place",
        edits: &[
            Edit {
                file: "crates/consensus/src/replica/handle.rs",
                right: "let linearizer = core.raft.get_read_linearizer(ReadPolicy::ReadIndex).await.ok()?;
            return Some(linearizer.read_log_id().index());",
                wrong: "let _ = ReadPolicy::ReadIndex;
            return Some(*core.applied.borrow());",
            },
            Edit {
                file: "crates/consensus/src/replica/service.rs",
                right: "match self.0.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => Response::ReadIndex(linearizer.read_log_id().index()),
            Err(_) => Response::NotLeader(self.0.leader_hint()),
        }",
                wrong: "let _ = ReadPolicy::ReadIndex;
        if self.0.leads() {
            Response::ReadIndex(*self.0.applied.borrow())
        } else {
            Response::NotLeader(self.0.leader_hint())
        }",
            },
        ],
        breaks: &["linearizable"],
    },
    Mutation {
        name: "lease-not-confirmed",
        why: "whoever led before renews leases, and knows of no revocation since",
        edits: &[Edit {
            file: "crates/consensus/src/replica/rounds.rs",
            right: "let round = core.raft.get_read_linearizer(ReadPolicy::ReadIndex);
    let confirmed = tokio::time::timeout(core.timings.election_max, round).await.ok()?.ok()?;
    Some(confirmed.read_log_id().index())",
            wrong: "let _ = ReadPolicy::ReadIndex;
    core.leads().then(|| *core.applied.borrow())",
        }],
        breaks: &["G3"],
    },
    Mutation {
        name: "lease-from-later",
        why: "a lease counts from three seconds after the question, and outlasts the bound",
        edits: &[Edit {
            file: "crates/lease/src/renewals.rs",
            right: "end: bound.lease_end(asked.0) };",
            wrong: "end: bound.lease_end(asked.0.plus(Span::from_millis(3_000))) };",
        }],
        breaks: &["G3"],
    },
    Mutation {
        name: "watermark-unsynced",
        why: "what is spent below a watermark that is not on the disk is given out again after a crash",
        edits: &[Edit {
            file: "crates/gateway/src/funds/flusher.rs",
            right: "shared.journal.write(marks.begun, marks.written()).await.map_err(JournalFailure)?;
        wallet.journalled(&marks, shared.clock.mono());",
            wrong: "wallet.journalled(&marks, shared.clock.mono());
        shared.serve(wallet);
        shared.journal.write(marks.begun, marks.written()).await.map_err(JournalFailure)?;",
        }],
        breaks: &["G1", "I3"],
    },
];
