//! Why an attempt brought no answer, and what it may have cost.

use crate::CredentialError;
use quorate_domain::Name;
use std::time::Duration;

/// Why a provider cannot be used from this node. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum ProviderUnusable {
    /// Its address is none.
    #[error("provider {provider}: {url:?} is not an http or https URL without user, query and fragment")]
    BaseUrl {
        /// The provider.
        provider: Name,
        /// Its address.
        url: String,
    },
    /// Its credential, or the value of one of its headers, has no value here.
    #[error("provider {provider}: {source}")]
    Credential {
        /// The provider.
        provider: Name,
        /// Why not.
        source: CredentialError,
    },
    /// A header of this name cannot be sent.
    #[error("provider {provider}: {header:?} is not a header name")]
    Header {
        /// The provider.
        provider: Name,
        /// The name.
        header: String,
    },
    /// The HTTP client could not be made, as when the machine has no certificate authorities.
    #[error("provider {provider}: no connection can be set up from this node")]
    Client {
        /// The provider.
        provider: Name,
        /// What failed.
        #[source]
        source: TransportError,
    },
}

/// An attempt that ended without a whole answer. The provider failed, unless the time given to the request ran out.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// No connection. Nothing was sent.
    #[error("provider {provider} cannot be reached")]
    Connect {
        /// The provider.
        provider: Name,
        /// What failed.
        #[source]
        source: TransportError,
    },
    /// The request was not let go at the last moment. Nothing was sent that a provider could work on.
    #[error("the request to provider {provider} was held back")]
    Withheld {
        /// The provider.
        provider: Name,
    },
    /// The provider took the request and kept silent.
    #[error("provider {provider} gave no answer within {after:?}")]
    FirstByteTimeout {
        /// The provider.
        provider: Name,
        /// How long we waited.
        after: Duration,
    },
    /// The connection broke before the answer began.
    #[error("provider {provider} broke the connection before it answered")]
    Broken {
        /// The provider.
        provider: Name,
        /// What failed.
        #[source]
        source: TransportError,
    },
    /// The answer began and then stalled.
    #[error("provider {provider} stopped in the middle of its answer for {after:?}")]
    IdleTimeout {
        /// The provider.
        provider: Name,
        /// How long we waited for more.
        after: Duration,
    },
    /// The answer began and broke off.
    #[error("provider {provider} broke off its answer")]
    Cut {
        /// The provider.
        provider: Name,
        /// What failed.
        #[source]
        source: TransportError,
    },
    /// The answer is longer than we keep.
    #[error("provider {provider} answered with more than {bytes_max} bytes")]
    TooLong {
        /// The provider.
        provider: Name,
        /// The limit.
        bytes_max: usize,
    },
    /// The time for the attempt, or for the whole request, ran out.
    #[error("the time for the request to provider {provider} is over")]
    OutOfTime {
        /// The provider.
        provider: Name,
        /// How far the attempt was.
        sent: Sent,
    },
}

/// How far an attempt was when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing left this node.
    Nothing,
    /// The provider may have the request.
    Request,
    /// The answer had begun.
    Answering,
}

/// What the network or the protocol did. Its text never holds an address, a header or a body.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct TransportError(reqwest::Error);

impl TransportError {
    pub(crate) fn new(error: reqwest::Error) -> Self {
        Self(error.without_url())
    }
}

impl AttemptError {
    /// How far the attempt was.
    #[must_use]
    pub const fn sent(&self) -> Sent {
        match self {
            Self::Connect { .. } | Self::Withheld { .. } => Sent::Nothing,
            Self::FirstByteTimeout { .. } | Self::Broken { .. } => Sent::Request,
            Self::IdleTimeout { .. } | Self::Cut { .. } | Self::TooLong { .. } => Sent::Answering,
            Self::OutOfTime { sent, .. } => *sent,
        }
    }

    /// Whether the provider may bill the attempt. If so its reservation is charged until usage says otherwise.
    #[must_use]
    pub const fn may_have_been_charged(&self) -> bool {
        match self.sent() {
            Sent::Nothing => false,
            Sent::Request | Sent::Answering => true,
        }
    }

    /// Whether another target may be asked, as long as the client has nothing of the answer yet.
    #[must_use]
    pub const fn is_worth_another_target(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::FirstByteTimeout { .. }
            | Self::Broken { .. }
            | Self::IdleTimeout { .. }
            | Self::Cut { .. } => true,
            Self::Withheld { .. } | Self::TooLong { .. } | Self::OutOfTime { .. } => false,
        }
    }
}
