//! How a cluster goes on that has lost its quorum for good: a plan from what is left, and doing it. One synced write: a crash leaves the
//! directory as it was, or done.

use super::beyond::Beyond;
use super::copy::Copy;
use super::error::RecoveryError;
use super::plan::{At, Charged, CopyRead, FORMAT, LeftBehind, Plan, Uncertain, Unknowable};
use super::rebirth::{self, Heir};
use super::survey::{Seen, Survey, survey};
use super::{told, words};
use crate::host::Host;
use crate::raft;
use crate::replica::{Identity, Place};
use quorate_domain::{LogTime, NodeId};
use quorate_ledger::SessionState;
use quorate_membership::PlanId;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was done.
    Now,
    /// It had been done before.
    Before,
}

/// Reads the directories of stopped nodes, of which there is at least one, and plans with which of them the cluster goes on. Changes nothing.
///
/// # Errors
/// When a directory cannot be read, is in use, or they do not belong together; and when nothing is lost.
pub fn plan(dirs: &[PathBuf]) -> Result<Plan, RecoveryError> {
    let copies = dirs.iter().map(|dir| Copy::look(dir)).collect::<Result<Vec<_>, _>>()?;
    belong_together(&copies)?;
    let seen: Vec<_> = copies.iter().map(Copy::seen).collect();
    let survey = survey(&seen, |index| copies.get(index).map(Copy::voters).unwrap_or_default());
    let survey =
        survey.map_err(|there| RecoveryError::Majority { given: there.given, voters: there.voters })?;
    let keeper = copies.get(survey.best).expect("the best copy is one of them");
    if keeper.state.membership.read().get(keeper.place.node).is_none() {
        return Err(RecoveryError::NoMember(keeper.place.node));
    }
    Ok(keeper.plan(&copies, &survey))
}

/// Does what was planned, on the directory that it was planned for. A second time it changes nothing.
///
/// # Errors
/// When the directory is not as it was planned, is in use, or cannot be written.
pub fn apply(plan: &Plan, dir: &Path) -> Result<Applied, RecoveryError> {
    if plan.format != FORMAT {
        return Err(RecoveryError::Plan(format!("its format is {}, not {FORMAT}", plan.format)));
    }
    let (copy, database) = Copy::open(dir)?;
    let id = u64::from_str_radix(&plan.plan, 16).map(PlanId::new);
    let id = id.map_err(|_| RecoveryError::Plan(format!("{:?} names no plan", plan.plan)))?;
    if copy.state.membership.read().fence().plan() == Some(id) {
        // A crash may have come between the two writes.
        copy.keep_lineage(plan.next_lineage())?;
        return Ok(Applied::Before);
    }
    copy.is_as_planned(plan, id)?;
    let heir = copy.heir().ok_or(RecoveryError::NoMember(copy.place.node))?;
    database.write_synced(rebirth::recovery(&copy.state, &heir, id, &copy.beyond_grants()).writes())?;
    copy.keep_lineage(plan.next_lineage())?;
    Ok(Applied::Now)
}

fn belong_together(copies: &[Copy]) -> Result<(), RecoveryError> {
    let newest = copies.iter().map(Copy::lineage).max().unwrap_or_default();
    for (index, copy) in copies.iter().enumerate() {
        let dir = copy.dir.clone();
        for other in copies.iter().skip(index + 1) {
            let (ours, theirs) = (copy.place, other.place);
            if ours.cluster != theirs.cluster {
                let (expected, found) = (told::hex(ours.cluster.get()), told::hex(theirs.cluster.get()));
                return Err(RecoveryError::OtherCluster { dir, expected, other: other.dir.clone(), found });
            }
            if ours.node == theirs.node {
                return Err(RecoveryError::Twice { node: ours.node, dir, other: other.dir.clone() });
            }
        }
        if copy.lineage() < newest {
            return Err(RecoveryError::LeftBehind { dir, found: copy.lineage(), newest });
        }
    }
    Ok(())
}

impl Copy {
    fn seen(&self) -> Seen {
        Seen { node: self.place.node, last: self.last, committed: self.committed }
    }

    fn lineage(&self) -> u32 {
        self.state.membership.read().lineage()
    }

    /// Who votes by the last membership in the log.
    fn voters(&self) -> Vec<BTreeSet<u64>> {
        self.state.progress().1.membership().get_joint_config().clone()
    }

    fn read_as(&self) -> CopyRead {
        CopyRead {
            directory: self.dir.display().to_string(),
            node: self.place.node,
            name: self.name_of(self.place.node),
            last: self.last.into(),
            committed: self.committed.map(At::from).unwrap_or_default(),
        }
    }

    fn name_of(&self, node: NodeId) -> String {
        let members = self.state.membership.read();
        members.get(node).map_or_else(|| format!("node-{node}"), |record| record.name.to_string())
    }

    /// What the plan is called: by what it was made from, so that it is the same however often it is made.
    fn plan_id(&self) -> PlanId {
        let sum = Sha256::new().chain_update(b"recover").chain_update(self.digest).finalize();
        PlanId::new(sum.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)))
    }

    fn plan(&self, copies: &[Self], survey: &Survey) -> Plan {
        let others = copies.iter().filter(|copy| copy.place.node != self.place.node);
        Plan {
            format: FORMAT,
            plan: self.plan_id().to_string(),
            cluster: told::hex(self.place.cluster.get()),
            lineage: self.lineage(),
            keeper: self.read_as(),
            why: survey.why.to_owned(),
            digest: self.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            others: others.map(Self::read_as).collect(),
            proven: survey.proven.map(At::from).unwrap_or_default(),
            uncertain: self.beyond(survey.proven),
            unknowable: self.unknowable(survey),
            left_behind: self.left_behind(copies),
            charged: self.charged(),
            spent_beyond: self.spent_beyond(),
        }
    }

    /// Entries behind what is proven.
    fn beyond(&self, proven: Option<raft::LogId>) -> Vec<Uncertain> {
        let entries = self.log.entries.iter().filter(|entry| Some(entry.log_id) > proven);
        entries
            .map(|entry| Uncertain {
                at: entry.log_id.into(),
                log_time_ms: words::time(entry),
                asks: words::of(entry),
            })
            .collect()
    }

    fn unknowable(&self, survey: &Survey) -> Unknowable {
        if survey.others_decide {
            Unknowable::Later { after: self.last.into(), since_ms: self.time() }
        } else {
            Unknowable::Nothing
        }
    }

    fn time(&self) -> LogTime {
        self.state.time()
    }

    fn left_behind(&self, copies: &[Self]) -> Vec<LeftBehind> {
        let voters: BTreeSet<u64> = self.voters().into_iter().flatten().collect();
        let was_read = |node| copies.iter().any(|copy| copy.place.node == node);
        let members = self.state.membership.read();
        let others = members.iter().filter(|(node, _)| *node != self.place.node);
        others
            .map(|(node, record)| LeftBehind {
                node,
                name: record.name.to_string(),
                address: record.address().to_owned(),
                is_voter: voters.contains(&node.get()),
                was_read: was_read(node),
            })
            .collect()
    }

    /// What sessions of others hold, that live by this copy.
    fn charged(&self) -> Vec<Charged> {
        let ledger = self.state.ledger.read();
        let mut charged = Vec::new();
        for (id, budget) in ledger.budgets() {
            for (session, holding) in
                budget.accounts().chain(budget.next()).flat_map(|account| account.holdings())
            {
                let Some(life) = ledger.session(session) else { continue };
                let amount = holding.outstanding().get();
                if life.node == self.place.node || life.state != SessionState::Live || amount == 0 {
                    continue;
                }
                let (subject, unit) = (budget.spec().subject.to_string(), budget.spec().unit.to_string());
                charged.push(Charged { budget: id, subject, unit, node: life.node, session, amount });
            }
        }
        charged
    }

    fn beyond_grants(&self) -> Beyond {
        Beyond::of(&self.state, self.place.node, &self.marks)
    }

    fn spent_beyond(&self) -> Vec<Charged> {
        let ledger = self.state.ledger.read();
        let (node, session) = (self.place.node, ledger.latest_session(self.place.node));
        let beyond = self.beyond_grants().0.into_iter();
        let charged = beyond.filter_map(|(id, amount)| {
            let spec = ledger.budget(id)?.spec();
            let (subject, unit) = (spec.subject.to_string(), spec.unit.to_string());
            Some(Charged { budget: id, subject, unit, node, session, amount: amount.get() })
        });
        charged.collect()
    }

    fn heir(&self) -> Option<Heir> {
        let address = self.state.membership.read().get(self.place.node)?.address().to_owned();
        let term = self.log.vote.map_or(0, |vote| vote.term);
        Some(Heir { node: self.place.node, address, last: self.last, term })
    }

    /// Notes the lineage in the directory's identity, unless it is there, or a later one.
    fn keep_lineage(&self, lineage: u32) -> Result<(), RecoveryError> {
        let known = Identity::load(&self.dir)?.filter(|identity| identity.place == Some(self.place));
        let Some(identity) = known.filter(|_| self.place.lineage < lineage) else { return Ok(()) };
        let place = Some(Place { lineage, ..self.place });
        Ok(Identity { place, ..identity }.store(&*Host::machine().disk, &self.dir)?)
    }

    fn is_as_planned(&self, plan: &Plan, id: PlanId) -> Result<(), RecoveryError> {
        let why = if plan.cluster != told::hex(self.place.cluster.get()) {
            format!("it is of cluster {}, the plan for {}", told::hex(self.place.cluster.get()), plan.cluster)
        } else if plan.keeper.node != self.place.node {
            format!("it is node {}, the plan for node {}", self.place.node, plan.keeper.node)
        } else if self.plan_id() != id || plan.lineage != self.lineage() {
            "it has changed since; has somebody started the node?".to_owned()
        } else {
            return Ok(());
        };
        Err(RecoveryError::NotAsPlanned { dir: self.dir.clone(), why })
    }
}
