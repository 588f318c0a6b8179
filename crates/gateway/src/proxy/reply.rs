//! What goes back to the client: one response, and perhaps a stream behind it.

use super::request::{RequestId, X_REQUEST_ID};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame};
use std::convert::Infallible;
use std::future::Future;
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
        let (last_words, cut) = oneshot::channel();
        self.give(with_headers(status, headers, Body::new(Pieces { pieces: body, cut: Some(cut) })));
        Listener { pieces, last_words, is_there: true }
    }
}

/// A client that listens to a stream, as long as it does.
pub(super) struct Listener {
    pieces: mpsc::Sender<Bytes>,
    last_words: oneshot::Sender<Bytes>,
    is_there: bool,
}

impl Listener {
    pub(super) async fn hear(&mut self, piece: Bytes) {
        if self.is_there && !piece.is_empty() {
            let sent = tokio::time::timeout(STALLED_AFTER, self.pieces.send(piece)).await;
            self.is_there = matches!(sent, Ok(Ok(())));
        }
    }

    /// Ends the stream with these words at once: what the client has not taken yet it does not get. Waits for nobody.
    pub(super) fn cut_short(self, last_words: Bytes) {
        // A client that is gone does not hear them.
        drop(self.last_words.send(last_words));
    }

    pub(super) fn is_there(&self) -> bool {
        self.is_there && !self.pieces.is_closed()
    }

    /// Resolves when the client has hung up.
    pub(super) async fn gone(&self) {
        self.pieces.closed().await;
    }
}

struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    /// What ends the stream before the pieces are all given; `None` once that is decided.
    cut: Option<oneshot::Receiver<Bytes>>,
}

impl Pieces {
    /// The words that cut the stream short, if it was.
    fn last_words(&mut self, context: &mut Context<'_>) -> Option<Bytes> {
        let Poll::Ready(decided) = Pin::new(self.cut.as_mut()?).poll(context) else { return None };
        self.cut = None;
        let last_words = decided.ok()?;
        self.pieces.close();
        while self.pieces.try_recv().is_ok() {}
        Some(last_words)
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(last_words) = self.last_words(context) {
            return Poll::Ready(Some(Ok(Frame::data(last_words))));
        }
        self.pieces.poll_recv(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
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

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn stream_of(pieces: &[&'static str]) -> (Listener, Body) {
        let (answer, response) = oneshot::channel();
        let mut listener = Caller::new(answer).give_stream(StatusCode::OK, HeaderMap::new());
        for piece in pieces {
            listener.hear(Bytes::from_static(piece.as_bytes())).await;
        }
        (listener, response.await.unwrap().into_body())
    }

    async fn text(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_stream_that_ends_is_given_whole_and_one_that_is_cut_short_gives_its_last_words_alone() {
        let (listener, body) = stream_of(&["a", "b"]).await;
        drop(listener);
        assert_eq!(text(body).await, "ab");
        let (listener, body) = stream_of(&["a", "b"]).await;
        listener.cut_short(Bytes::from_static(b"revoked"));
        assert_eq!(text(body).await, "revoked");
    }

    #[tokio::test]
    async fn a_client_that_had_taken_some_gets_the_last_words_next() {
        let (listener, mut body) = stream_of(&["a", "b"]).await;
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        listener.cut_short(Bytes::from_static(b"revoked"));
        assert_eq!(text(body).await, "revoked");
    }
}
