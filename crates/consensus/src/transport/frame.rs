//! Cuts a stream of bytes into records. A frame is an envelope; nothing else is on the wire.

use crate::codec::{self, CodecError, HEADER_LEN, Kind};
use bytes::{Buf as _, BytesMut};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use tokio_util::codec::Decoder;

/// No frame is larger: an append carries a megabyte and one entry more, a snapshot chunk a quarter of one.
pub(super) const FRAME_MAX: usize = 8 << 20;

/// Reads records of one type.
#[derive(Debug)]
pub(super) struct Frames<T> {
    kind: Kind,
    bytes_max: usize,
    of: PhantomData<fn() -> T>,
}

impl<T> Frames<T> {
    pub(super) const fn new(kind: Kind, bytes_max: usize) -> Self {
        Self { kind, bytes_max, of: PhantomData }
    }
}

/// Why a peer's bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The bytes are not a frame.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl<T: DeserializeOwned> Decoder for Frames<T> {
    type Item = T;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<T>, FrameError> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let length = HEADER_LEN + codec::open_header(self.kind, *header)?;
        if length > self.bytes_max {
            return Err(CodecError::TooLarge(length as u64).into());
        }
        if bytes.len() < length {
            bytes.reserve(length - bytes.len());
            return Ok(None);
        }
        let value = codec::decode(self.kind, &bytes[..length])?;
        bytes.advance(length);
        Ok(Some(value))
    }
}
