//! Who belongs to the cluster, what each node is for, who votes, and who may come in: the table of nodes, seats, join tokens, the
//! certificate authority.
//!
//! Pure: commands in, outcomes out; no I/O, no clock, no randomness. A refusal is an outcome. Start with [`Membership`]
//! and [`Command`]; `autopilot` says who should vote, `plan` what a change would do; `card` says which node a peer may take for which (docs/adr/0023-identity-and-trust.md).

mod authority;
mod autopilot;
mod card;
mod change;
mod command;
mod event;
mod fence;
mod machine;
mod members;
mod node;
mod plan;
mod seats;
mod standing;
mod token;

pub use authority::{Authority, Certificate, Next, Phase, Root, RootId};
pub use autopilot::{AutopilotSettings, CAUGHT_UP, Mode, Seen, Sight, VOTERS_MAX, Wish, wish};
pub use card::{Card, Mismatch, judge};
pub use change::{Change, Order, Successor};
pub use command::{Admission, Command, Founding, Introduction, NewToken, Outcome, Recovery, Rejection};
pub use event::{Event, Events, Named, What};
pub use fence::{Fence, Fenced, PlanId};
pub use machine::{DiskUse, Fill, Unfit};
pub use members::{FIRST_LINEAGE, Membership};
pub use node::{Levels, NodeRecord, Profile, StorageId};
pub use plan::{Ask, Check, Plan, Tolerance, Verdict};
pub use seats::{Ballot, quorum, spare};
pub use standing::{By, Drain, Progress, Report, Standing};
pub use token::{JoinToken, Token, TokenError, TokenId, Tokens};
