//! What goes back to the client: one response, and perhaps a stream behind it.

use super::request::{RequestId, X_REQUEST_ID};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Pieces of a stream on their way to the client. A client that reads slowly so slows its provider down.
const PIECES_IN_FLIGHT: usize = 16;
/// A client that takes nothing for this long counts as gone.
const STALLED_AFTER: Duration = Duration::from_secs(120);

/// The client, as the request's task sees it.
pub(super) struct Caller {
    answer: oneshot::Sender<Response>,
}

impl Caller {
    pub(super) fn new(answer: oneshot::Sender<Response>) -> Self {
        Self { answer }
    }

    /// Whether the client has hung up.
    pub(super) fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }

    /// Resolves when the client has hung up.
    pub(super) async fn gone(&mut self) {
        self.answer.closed().await;
    }

    /// Gives the whole answer. A client that is gone does not hear it.
    pub(super) fn give(self, response: Response) {
        drop(self.answer.send(response));
    }

    /// Gives the head of a stream, and the way to send the rest.
    pub(super) fn give_stream(self, status: StatusCode, headers: HeaderMap) -> Listener {
        let (pieces, body) = mpsc::channel(PIECES_IN_FLIGHT);
        self.give(with_headers(status, headers, Body::new(Pieces(body))));
        Listener { pieces, is_there: true }
    }
}

/// A client that listens to a stream, as long as it does.
pub(super) struct Listener {
    pieces: mpsc::Sender<Bytes>,
    is_there: bool,
}

impl Listener {
    pub(super) async fn hear(&mut self, piece: Bytes) {
        if self.is_there && !piece.is_empty() {
            let sent = tokio::time::timeout(STALLED_AFTER, self.pieces.send(piece)).await;
            self.is_there = matches!(sent, Ok(Ok(())));
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.is_there && !self.pieces.is_closed()
    }

    /// Resolves when the client has hung up.
    pub(super) async fn gone(&self) {
        self.pieces.closed().await;
    }
}

struct Pieces(mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

pub(super) fn with_headers(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The response with the id under which the logs know the request.
pub(super) fn signed(mut response: Response, id: &RequestId) -> Response {
    response.headers_mut().insert(X_REQUEST_ID, id.header());
    response
}
