//! Every byte this crate stores or sends: an envelope, then fixed-width little-endian fields.
//!
//! The only place that knows bincode (docs/adr/0004-codec.md). Samples of the bytes are frozen under `tests/frozen/`.

mod envelope;
mod record;

pub(crate) use envelope::{HEADER_LEN, Kind, open, open_header, seal};
pub(crate) use record::{BegunV1, EntryV1, LogIdV1, MarkV1, MarkV2, PayloadV1, SnapshotMetaV1, VoteV1};

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A length that a record claims to have may not make the reader allocate more than this.
const RECORD_MAX: usize = 64 << 20;
/// The state of a whole cluster is one record in a snapshot file.
const STATE_MAX: usize = 3 << 30;

type Layout<const MAX: usize> = Configuration<LittleEndian, Fixint, Limit<MAX>>;

const fn layout<const MAX: usize>() -> Layout<MAX> {
    bincode::config::legacy().with_limit::<MAX>()
}

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The first byte is not ours: another program wrote this.
    #[error("these bytes were not written by quorate (first byte {0:#04x})")]
    Foreign(u8),
    /// Written by a newer program.
    #[error("format version {found} is newer than {supported}, the newest this program reads")]
    Newer {
        /// The version found.
        found: u8,
        /// The newest version this program reads.
        supported: u8,
    },
    /// Ours, but another kind of record than expected.
    #[error("a record of kind {found} stands where kind {expected} belongs")]
    WrongKind {
        /// The kind found.
        found: u8,
        /// The kind expected.
        expected: u8,
    },
    /// Fewer or more bytes than the record says.
    #[error("a record of {claimed} bytes in {present}")]
    Length {
        /// Bytes the record says it has.
        claimed: u64,
        /// Bytes there are.
        present: u64,
    },
    /// Larger than any record may be.
    #[error("a record of {0} bytes is larger than allowed")]
    TooLarge(u64),
    /// The checksum does not match.
    #[error("the checksum does not match: the record is damaged")]
    Damaged,
    /// The checksum matches but the content makes no sense to this program.
    #[error("a record of kind {kind} cannot be read: {cause}")]
    Unreadable {
        /// The kind of record.
        kind: u8,
        /// What the decoder said.
        cause: String,
    },
}

/// The record in its envelope.
pub(crate) fn encode<T: Serialize>(kind: Kind, value: &T) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN];
    let written = match kind.bytes_max() {
        RECORD_MAX => bincode::serde::encode_into_std_write(value, &mut bytes, layout::<RECORD_MAX>()),
        _ => bincode::serde::encode_into_std_write(value, &mut bytes, layout::<STATE_MAX>()),
    };
    written.expect("our structures have no field that cannot be written to memory");
    seal(kind, bytes)
}

/// Reads a record out of its envelope. The envelope must be all there is.
pub(crate) fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, CodecError> {
    let payload = open(kind, bytes)?;
    let read = match kind.bytes_max() {
        RECORD_MAX => bincode::serde::decode_from_slice(payload, layout::<RECORD_MAX>()),
        _ => bincode::serde::decode_from_slice(payload, layout::<STATE_MAX>()),
    };
    match read {
        Ok((value, used)) if used == payload.len() => Ok(value),
        Ok((_, used)) => Err(CodecError::Length { claimed: used as u64, present: payload.len() as u64 }),
        Err(cause) => Err(CodecError::Unreadable { kind: kind.code(), cause: cause.to_string() }),
    }
}

/// Appends the record without its envelope.
pub(crate) fn append<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    bincode::serde::encode_into_std_write(value, bytes, layout::<STATE_MAX>())
        .expect("our structures have no field that cannot be written to memory");
}

/// How many bytes the record takes without its envelope.
pub(crate) fn size_of<T: Serialize>(value: &T) -> usize {
    let mut counted = Counted(0);
    bincode::serde::encode_into_std_write(value, &mut counted, layout::<RECORD_MAX>())
        .map_or(usize::MAX, |_| counted.0)
}

struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl From<CodecError> for std::io::Error {
    fn from(error: CodecError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

#[cfg(test)]
pub(crate) mod tests;
