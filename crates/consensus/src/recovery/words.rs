//! What an entry of the log asks, in words.

use crate::machine::Command;
use crate::raft;
use openraft::EntryPayload;
use quorate_catalog::{Actor, Command as OfCatalog};
use quorate_domain::LogTime;
use quorate_idempotency::Command as OfRecords;
use quorate_ledger::{Command as OfLedger, PutBudget};
use quorate_membership::{Change, Command as OfMembers};

/// What an entry asks, one sentence for each wish.
pub(super) fn of(entry: &raft::Entry) -> Vec<String> {
    match &entry.payload {
        EntryPayload::Blank => vec!["a leader begins its term".to_owned()],
        EntryPayload::Membership(membership) => {
            let voters: Vec<_> = membership.voter_ids().map(|id| id.to_string()).collect();
            vec![format!("voters are {}", voters.join(", "))]
        }
        EntryPayload::Normal(batch) => {
            batch.proposals.iter().flat_map(|proposal| command(&proposal.command)).collect()
        }
    }
}

/// When an entry was written, if it says so.
pub(super) fn time(entry: &raft::Entry) -> Option<LogTime> {
    match &entry.payload {
        EntryPayload::Normal(batch) => Some(batch.at),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    }
}

fn command(command: &Command) -> Vec<String> {
    match command {
        Command::Catalog(command) => catalog(command),
        Command::Ledger(command) => vec![ledger(command)],
        Command::Membership(command) => vec![members(command)],
        Command::Idempotency(command) => vec![records(command)],
    }
}

fn catalog(command: &OfCatalog) -> Vec<String> {
    match command {
        OfCatalog::Found(_) => vec!["found the configuration".to_owned()],
        OfCatalog::Apply(apply) => {
            let by = match apply.actor {
                Actor::Key(key) => format!("key {key}"),
                Actor::Node(node) => format!("the file of node {node}"),
            };
            apply.changes.iter().map(|change| format!("{change} (by {by})")).collect()
        }
        OfCatalog::GoOn { .. } => vec!["the configuration goes on from a copy".to_owned()],
    }
}

fn ledger(command: &OfLedger) -> String {
    match command {
        OfLedger::Tick => "time passes".to_owned(),
        OfLedger::PutBudget(put) => budget(put),
        OfLedger::PutTemplate(template) => budget(&template.put),
        OfLedger::MeetEndUser(meet) => {
            format!("budgets for end user {} of {}", meet.end_user.as_str(), meet.organisation)
        }
        OfLedger::RemoveBudget { budget, .. } => format!("delete budget {budget}"),
        OfLedger::OpenSession(open) => format!("node {} opens a session", open.node),
        OfLedger::Sync(sync) => format!(
            "session {} reports spending of {} budgets and asks for more of {}",
            sync.session,
            sync.reports.len(),
            sync.asks.len()
        ),
        OfLedger::CloseSession { session } => format!("session {session} has given everything back and ends"),
        OfLedger::ExpireSession { session } => format!("declare session {session} dead"),
        OfLedger::Resolve(resolve) => {
            format!("resolve the doubt of budget {} about session {}", resolve.budget, resolve.session)
        }
        OfLedger::PutTimeZone(zone) => format!("rules of time zone {}", zone.name),
        OfLedger::TellMarks(tell) => format!("node {} tells part of its journal", tell.node),
        OfLedger::GoOn { .. } => "the budgets go on from a copy".to_owned(),
    }
}

fn budget(put: &PutBudget) -> String {
    format!("put budget of {}: {} {}", put.spec.subject, put.spec.limit.get(), put.spec.unit)
}

fn members(command: &OfMembers) -> String {
    match command {
        OfMembers::Found(_) => "found the cluster".to_owned(),
        OfMembers::Admit(admission) => format!("let in {}", admission.profile.peer_address),
        OfMembers::Introduce(introduction) => format!("node {} says that it started", introduction.node),
        OfMembers::Change(order) => change(&order.change),
        OfMembers::Report { node, .. } => format!("node {node} says how far its drain is"),
        OfMembers::CreateToken(_) => "create a join token".to_owned(),
        OfMembers::WithdrawToken { .. } => "withdraw a join token".to_owned(),
        OfMembers::Certify { node, .. } => format!("note the certificate of node {node}"),
        OfMembers::Trust { node, .. } => format!("node {node} trusts the newest root"),
        OfMembers::Rotate { .. } => "begin to rotate the certificate authority".to_owned(),
        OfMembers::Raise { from, to, .. } => format!("raise the level from {from} to {to}"),
        OfMembers::Recover(recovery) => {
            format!("recover with node {} by plan {}", recovery.keeper, recovery.plan)
        }
        OfMembers::Refound(_) => "begin another cluster with this state".to_owned(),
    }
}

fn change(change: &Change) -> String {
    match change {
        Change::Drain { node, .. } => format!("drain node {node}"),
        Change::Undrain { node } => format!("undrain node {node}"),
        Change::Remove { node, .. } => format!("remove node {node}"),
        Change::Replace { node, .. } => format!("let somebody take the place of node {node}"),
        Change::Seat { voters } => format!("give seats to {} voters", voters.len()),
        Change::Promote { node, .. } => format!("give a vote to node {node}"),
        Change::Demote { node, .. } => format!("take its vote from node {node}"),
        Change::Autopilot(_) => "set the autopilot".to_owned(),
    }
}

fn records(command: &OfRecords) -> String {
    match command {
        OfRecords::Begin(begin) => {
            format!("key {} begins a request with an Idempotency-Key", begin.name.key)
        }
        OfRecords::End(end) => format!("key {} has ended a request with an Idempotency-Key", end.name.key),
    }
}
