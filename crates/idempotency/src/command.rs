//! What an entry of the log may ask of the records, and what comes of it.
//!
//! The order of variants and fields is a stored format: add at the end, never reorder.

use crate::{Answer, Digest, Name, Owner};
use quorate_domain::Span;
use serde::{Deserialize, Serialize};

/// One wish to change the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Before anything is sent to a provider.
    Begin(Begin),
    /// Before the client has the last byte.
    End(End),
}

/// Claims a name for one execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The name.
    pub name: Name,
    /// Of method, path and body.
    pub fingerprint: Digest,
    /// Who executes it.
    pub owner: Owner,
    /// How long it is kept, after this and again after its end.
    pub keep: Span,
    /// How many records there may be, this one included; half of them of one API key.
    pub records_max: u64,
}

/// Says what came of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The name.
    pub name: Name,
    /// Who executed it. The end of somebody else's record changes nothing.
    pub owner: Owner,
    /// What came of it.
    pub ending: Ending,
    /// How many bytes of answers may be kept, this one included; half of them of one API key.
    pub bytes_max: u64,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Nothing was executed: the name is as free as if it had never been begun.
    Released,
    /// It was executed, and this is what its caller was told.
    Kept(Answer),
    /// It was executed, and its answer is too large to be kept.
    NotKept,
    /// It may have been executed, and nobody knows what the answer was.
    Unknown,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The name is the owner's: it may send the request.
    Begun,
    /// There is a record of that name. What it says, the records show.
    Found,
    /// There are as many records as there may be.
    Full,
    /// The owner's session is over: nothing begins in its name.
    OwnerGone,
    /// It is ended, by this command or by an earlier copy of it.
    Ended,
    /// There is no such record of this owner.
    NotYours,
}

impl Command {
    /// Whether applying it twice is the same as applying it once. A second `Begin` might come after its own end.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        match self {
            Self::Begin(_) => false,
            Self::End(_) => true,
        }
    }
}
