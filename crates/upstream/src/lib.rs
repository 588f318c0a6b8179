//! Talks to providers: connections, authentication, streams, timeouts.
