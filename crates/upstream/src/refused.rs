//! Errors of HTTP/2 by which a provider says that it read nothing of a request: it may be sent again, and nobody bills
//! twice. Connections that providers close in turn would fail requests otherwise.

use std::error::Error;

/// Whether the provider refused the request unread (RFC 9113, section 8.7).
pub(crate) fn was_refused_unread(error: &(dyn Error + 'static)) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>()).any(says_unread)
}

/// An error and what caused it, down to the first cause.
pub(crate) fn causes<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn says_unread(error: &h2::Error) -> bool {
    let leaves = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
    let refuses = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (leaves || refuses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::JoinSet;

    /// What a client sees when the server ends its stream for this reason.
    async fn seen_of(reason: h2::Reason) -> h2::Error {
        let (near, far) = tokio::io::duplex(64 << 10);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut server = h2::server::handshake(far).await.unwrap();
            let (_, mut answer) = server.accept().await.unwrap().unwrap();
            answer.send_reset(reason);
            while server.accept().await.is_some() {}
        });
        let (sender, connection) = h2::client::handshake(near).await.unwrap();
        tasks.spawn(async move { drop(connection.await) });
        let mut sender = sender.ready().await.unwrap();
        let (answer, _) = sender.send_request(http::Request::new(()), true).unwrap();
        answer.await.unwrap_err()
    }

    #[tokio::test]
    async fn only_what_a_provider_refused_unread_is_sent_again() {
        assert!(was_refused_unread(&seen_of(h2::Reason::REFUSED_STREAM).await));
        assert!(!was_refused_unread(&seen_of(h2::Reason::INTERNAL_ERROR).await));
        assert!(
            !was_refused_unread(&h2::Error::from(h2::Reason::REFUSED_STREAM)),
            "our own word is no proof"
        );
        assert!(!was_refused_unread(&std::io::Error::other("broken")));
    }
}
