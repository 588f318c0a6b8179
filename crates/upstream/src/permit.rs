//! Leave to send: asked for when the connection is there and the first byte is about to be written.
//!
//! Before that a request may wait for a connection, and whatever allowed it may be over. The HTTP client asks for the
//! body in the same step in which it writes the head of an HTTP/1 request, so that a refusal leaves nothing on the
//! wire; over HTTP/2 the head alone may leave, and is taken back.

use crate::refused::causes;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Whether a request may leave.
pub trait Permit: fmt::Debug + Send + Sync + 'static {
    /// Whether it may leave now. Asked once each time it is sent; must not wait.
    fn holds(&self) -> bool;
}

/// A permit that always holds.
#[derive(Clone, Copy, Debug)]
pub struct Unconditional;

impl Permit for Unconditional {
    fn holds(&self) -> bool {
        true
    }
}

/// The request was not let go.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request was held back")]
struct Withheld;

/// The body of a request, given out only with leave.
#[derive(Debug)]
pub(crate) struct Guarded {
    body: Option<Bytes>,
    permit: Arc<dyn Permit>,
}

impl Guarded {
    pub(crate) fn new(body: Bytes, permit: Arc<dyn Permit>) -> Self {
        Self { body: Some(body), permit }
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(body) = self.body.take() else { return Poll::Ready(None) };
        Poll::Ready(Some(if self.permit.holds() { Ok(Frame::data(body)) } else { Err(Withheld.into()) }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, Bytes::len) as u64)
    }
}

/// Whether an error came of a permit that did not hold.
pub(crate) fn was_withheld(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(<dyn Error>::is::<Withheld>)
}
