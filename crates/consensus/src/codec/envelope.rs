//! What stands before every record: `magic u8 | version u8 | kind u8 | flags u8 | len u32 | crc32 u32`.

use super::{CodecError, RECORD_MAX, STATE_MAX};

/// Bytes before the payload.
pub(crate) const HEADER_LEN: usize = 12;

const MAGIC: u8 = 0xD7;
const VERSION: u8 = 1;

/// What a record is. The numbers are stored: they may be added to, never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Format = 1,
    Vote = 2,
    LogId = 3,
    Entry = 4,
    SnapshotMeta = 5,
    State = 6,
    Identity = 7,
    Mark = 8,
    Generation = 9,
    MarkV2 = 10,
    Overspent = 11,
    Begun = 12,
    Certificate = 13,
    Backup = 14,
    Handshake = 16,
    Frame = 17,
}

impl Kind {
    /// Whether these bytes claim to be a record of this kind.
    pub(crate) fn is_of(self, bytes: &[u8]) -> bool {
        bytes.get(2) == Some(&self.code())
    }

    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    pub(super) const fn bytes_max(self) -> usize {
        match self {
            Self::State => STATE_MAX,
            Self::Format
            | Self::Vote
            | Self::LogId
            | Self::Entry
            | Self::SnapshotMeta
            | Self::Identity
            | Self::Mark
            | Self::Generation
            | Self::MarkV2
            | Self::Overspent
            | Self::Begun
            | Self::Certificate
            | Self::Backup
            | Self::Handshake
            | Self::Frame => RECORD_MAX,
        }
    }
}

/// Fills in the header of `bytes`, whose first [`HEADER_LEN`] bytes were kept free for it.
pub(crate) fn seal(kind: Kind, mut bytes: Vec<u8>) -> Vec<u8> {
    let len =
        u32::try_from(bytes.len() - HEADER_LEN).expect("a record is smaller than its limit, which fits");
    bytes[..4].copy_from_slice(&[MAGIC, VERSION, kind.code(), 0]);
    bytes[4..8].copy_from_slice(&len.to_le_bytes());
    let sum = checksum(&bytes[..8], &bytes[HEADER_LEN..]);
    bytes[8..HEADER_LEN].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Checks the header alone and says how long the payload is.
pub(crate) fn open_header(kind: Kind, header: [u8; HEADER_LEN]) -> Result<usize, CodecError> {
    let [magic, version, found, _flags, a, b, c, d, ..] = header;
    if magic != MAGIC {
        return Err(CodecError::Foreign(magic));
    }
    if version != VERSION {
        return Err(CodecError::Newer { found: version, supported: VERSION });
    }
    if found != kind.code() {
        return Err(CodecError::WrongKind { found, expected: kind.code() });
    }
    let len = u32::from_le_bytes([a, b, c, d]);
    match usize::try_from(len) {
        Ok(len) if len <= kind.bytes_max() => Ok(len),
        Ok(_) | Err(_) => Err(CodecError::TooLarge(u64::from(len))),
    }
}

/// The payload of an envelope that is all of `bytes`.
pub(crate) fn open(kind: Kind, bytes: &[u8]) -> Result<&[u8], CodecError> {
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Err(CodecError::Length { claimed: HEADER_LEN as u64, present: bytes.len() as u64 });
    };
    let len = open_header(kind, *header)?;
    if len != payload.len() {
        return Err(CodecError::Length { claimed: len as u64, present: payload.len() as u64 });
    }
    let [.., a, b, c, d] = *header;
    if checksum(&header[..8], payload) == u32::from_le_bytes([a, b, c, d]) {
        Ok(payload)
    } else {
        Err(CodecError::Damaged)
    }
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(head);
    sum.update(payload);
    sum.finalize()
}
