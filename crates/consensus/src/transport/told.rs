//! What peers have told this node for good: that it has no place among them.

use super::handshake::{HandshakeError, Refusal};
use std::sync::Arc;
use tokio::sync::watch;

/// Where it is noted. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<watch::Sender<Option<Refusal>>>);

impl Told {
    /// Notes a refusal that ends this node's part in its cluster. The first one counts.
    pub(super) fn note(&self, error: &HandshakeError) {
        let HandshakeError::Refused(refusal) = error else { return };
        if refusal.is_final() {
            self.0.send_if_modified(|told| told.is_none() && told.replace(refusal.clone()).is_none());
        }
    }

    /// Resolves once there is one.
    pub(crate) async fn refused(&self) -> Refusal {
        let mut told = self.0.subscribe();
        loop {
            if let Some(refusal) = told.borrow_and_update().clone() {
                return refusal;
            }
            if told.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
