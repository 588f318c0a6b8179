//! What can be asked of the ledger. Every command is an entry of the replicated log.
//!
//! The order of variants and fields is a stored format: add at the end, never reorder.

use crate::BudgetSpec;
use crate::line::Place;
use quorate_domain::{
    Amount, BootId, BudgetId, EndUserId, Name, NodeId, Revision, Round, SessionId, TimeZone, WindowId,
};
use serde::{Deserialize, Serialize};

/// A command to the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Nothing but the passing of log time.
    Tick,
    /// Creates a budget or changes one.
    PutBudget(PutBudget),
    /// Forgets a budget: what its subject spends is limited by it no more.
    RemoveBudget {
        /// The budget.
        budget: BudgetId,
        /// The revision the caller saw.
        expected: Expected,
    },
    /// Begins a node's new life as a holder of grants, and ends its earlier ones.
    OpenSession(OpenSession),
    /// A node's report of spending and its wish for grants. The one hot command.
    Sync(Sync),
    /// Ends a session that holds nothing any more.
    CloseSession {
        /// The session.
        session: SessionId,
    },
    /// Declares a session dead. What it holds stays counted as spent, in doubt, until it is resolved.
    ExpireSession {
        /// The session.
        session: SessionId,
    },
    /// Settles what a dead session may have spent.
    Resolve(Resolve),
    /// Tells the rules of a time zone, unless newer ones are known. Open windows keep their ends.
    PutTimeZone(TimeZone),
    /// The same as [`Command::PutBudget`] for all end users of an organisation, and for how many.
    PutTemplate(PutTemplate),
    /// An end user was seen: makes the budgets that he has not yet by the templates of his organisation.
    MeetEndUser(MeetEndUser),
    /// Part of what a node's journal proves, ahead of [`Command::OpenSession`], where all of it does not fit into one entry.
    TellMarks(TellMarks),
    /// A copy of the ledger goes on without the original: its counters leave out so many that no revision, budget or session is given
    /// a number a second time.
    GoOn {
        /// So many are left out.
        left_out: u64,
    },
}

impl Command {
    /// Whether applying the command twice is the same as applying it once, so that a retry needs no operation id.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        match self {
            Self::Tick
            | Self::OpenSession(_)
            | Self::Sync(_)
            | Self::CloseSession { .. }
            | Self::ExpireSession { .. }
            | Self::Resolve(_)
            | Self::PutTimeZone(_)
            | Self::MeetEndUser(_)
            | Self::TellMarks(_) => true,
            Self::PutBudget(_) | Self::PutTemplate(_) | Self::RemoveBudget { .. } | Self::GoOn { .. } => {
                false
            }
        }
    }
}

/// What the caller believes is stored, so that two writers cannot overwrite each other unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Nothing is stored yet.
    Absent,
    /// Whatever is stored may be overwritten.
    Any,
    /// Exactly this revision is stored.
    Revision(Revision),
}

/// Creates a budget, or changes the limit of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBudget {
    /// The subject, unit and kind name the budget; there is at most one of each. A zone it follows must be there already.
    pub spec: BudgetSpec,
    /// What the caller believes is stored under that name.
    pub expected: Expected,
}

/// Creates or changes a budget of all end users of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutTemplate {
    /// The budget.
    pub put: PutBudget,
    /// For how many end users budgets are made from it. Of another subject's budget it says nothing.
    pub end_users_max: u32,
}

/// An end user who was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeetEndUser {
    /// Whose end user.
    pub organisation: Name,
    /// What it calls him.
    pub end_user: EndUserId,
}

/// Begins a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// The node that will hold the grants.
    pub node: NodeId,
    /// This start of its process: a retry of the command names the same.
    pub boot: BootId,
    /// The node's latest session, of which the evidence speaks. If there is a later one by now, the command comes from an
    /// earlier life of the node, and its evidence says nothing about that one.
    pub previous: SessionId,
    /// What the node's journal proves about its earlier sessions.
    pub evidence: Evidence,
}

/// Part of what a node's journal proves. It counts when this start of its process opens a session with the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellMarks {
    /// The node.
    pub node: NodeId,
    /// This start of its process.
    pub boot: BootId,
    /// As in [`Evidence::Intact`].
    pub marks: Vec<Mark>,
}

/// What a node knows of its earlier sessions' spending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// The watermark journal was read in full: what lies above a mark was never spent.
    Intact {
        /// Raised with every write. One that is below what the ledger has heard of means that the disk was rolled back.
        generation: u64,
        /// Upper bounds of spending. What is neither mentioned here nor was told before was never spent from.
        marks: Vec<Mark>,
    },
    /// There is no journal to trust: everything outstanding stays in doubt.
    Lost,
}

/// One line of the watermark journal: session, budget and window have spent no more than `spent_bound` and `overrun`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The session that spent.
    pub session: SessionId,
    /// The budget.
    pub budget: BudgetId,
    /// The window of the budget.
    pub window: WindowId,
    /// No more than this was spent or reserved, ever.
    pub spent_bound: Amount,
    /// At least this was settled.
    pub settled: Amount,
    /// Billed beyond what was reserved, as far as the session knew.
    pub overrun: Amount,
}

/// Spending of one session, cumulative since the session began, and its wishes. Duplicates and old copies are harmless:
/// of reports the larger number counts, and wishes count once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// The session that speaks. One that was fenced is answered [`crate::Outcome::Fenced`].
    pub session: SessionId,
    /// Rises with each message of the session. Wishes of one that comes after a higher number are not heard.
    pub sequence: u64,
    /// How far the journal of the node has come, in [`Evidence::Intact`]'s numbers: an older disk is known by it.
    pub generation: u64,
    /// What was spent and given back.
    pub reports: Vec<SpendingReport>,
    /// What is wanted. Answered one by one, in this order.
    pub asks: Vec<Ask>,
    /// What was spent without grants.
    pub overspent: Vec<Overspent>,
}

/// What a node spent of a budget without a grant, for keys that may, while it reached no majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overspent {
    /// The budget.
    pub budget: BudgetId,
    /// Since the node was founded, in all its sessions. It counts in the window that is open when the ledger hears of it.
    pub total: Amount,
}

/// What a session spent in one window of one budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendingReport {
    /// The budget.
    pub budget: BudgetId,
    /// The window in which the spending was reserved.
    pub window: WindowId,
    /// Settled since the session began.
    pub used: Amount,
    /// Given back since the session began.
    pub returned: Amount,
    /// Billed beyond what was reserved since the session began: a provider broke its own limit.
    pub overrun: Amount,
    /// In central mode: the round that is answered with this report.
    pub heard: Option<Heard>,
}

/// The answer to a round: nothing is unreserved here that is not in `returned`, and nothing will be spent that was not
/// granted to a request by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The round.
    pub round: Round,
    /// Everything granted to the session, as far as it knew. If there is more, the answer does not count.
    pub granted: Amount,
}

/// A wish for grants. A request is granted what it needs once, however often it is mentioned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The budget.
    pub budget: BudgetId,
    /// The window the node has an account for; `None` if it has none and takes the current one.
    pub window: Option<WindowId>,
    /// All requests of the session that wait for this budget, first come first, up to [`crate::PLACES_MAX`]. In line
    /// are these and no others.
    pub places: Vec<Place>,
    /// Welcome beyond their needs, as a target for everything granted so far; as far as the ledger sees fit.
    pub want: Amount,
    /// Whether proof is needed that nothing is left.
    pub urgency: Urgency,
}

/// How much a session needs proof that nothing unreserved is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Urgency {
    /// Its requests have patience.
    #[default]
    CanWait,
    /// The patience of a request is over: a round should begin.
    Proof,
    /// The same, and this round was waited for in vain: another one should begin without those who do not answer.
    Overdue(Round),
}

/// An operator's or a rule's word on what a dead session spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolve {
    /// The dead session.
    pub session: SessionId,
    /// The budget.
    pub budget: BudgetId,
    /// The window.
    pub window: WindowId,
    /// What it spent in all: from what it reported to what it was granted and did not return.
    pub spent: Amount,
    /// Who says so.
    pub actor: String,
    /// Why.
    pub reason: String,
}
