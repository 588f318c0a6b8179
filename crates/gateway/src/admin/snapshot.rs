//! All of the state in one file: `GET /snapshot`. It is a secret: it holds the pepper, stored credentials and the key of the certificate
//! authority.

use super::caller::Reader;
use super::{Admin, AdminError};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use std::convert::Infallible;
use std::sync::Arc;

/// What goes to the connection at once: a slow reader must not make us keep more than it takes.
const PIECE: usize = 256 * 1024;

/// Sends the file as this replica has it; caught up, unless `?consistency=local` was asked for.
pub(super) async fn save(State(admin): State<Arc<Admin>>, _: Reader) -> Result<Response, AdminError> {
    let pieces = admin.replica()?.snapshot().await?;
    let size = pieces.iter().map(Bytes::len).sum::<usize>();
    tracing::warn!(size, "a copy of the state, with all its secrets, is read over the admin API");
    let body = Body::from_stream(futures_util::stream::iter(cut(pieces).map(Ok::<_, Infallible>)));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
    ];
    Ok((headers, body).into_response())
}

fn cut(pieces: Vec<Bytes>) -> impl Iterator<Item = Bytes> {
    pieces.into_iter().flat_map(|mut rest| {
        std::iter::from_fn(move || (!rest.is_empty()).then(|| rest.split_to(rest.len().min(PIECE))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_small_and_lose_nothing() {
        let pieces = vec![Bytes::from(vec![1; 3]), Bytes::new(), Bytes::from(vec![2; PIECE + 5])];
        let cut: Vec<_> = cut(pieces.clone()).collect();
        assert_eq!(cut.iter().map(Bytes::len).collect::<Vec<_>>(), [3, PIECE, 5]);
        assert_eq!(cut.concat(), pieces.concat());
    }
}
