//! What a network must do: streams of bytes between peers.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// A future that a trait object can return.
pub type BoxedFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connection.
pub struct Stream {
    /// What the other side says.
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    /// What is said to the other side.
    pub write: Box<dyn AsyncWrite + Send + Unpin>,
    /// Where the other side is, for people.
    pub peer: String,
}

/// Where peers are listened for.
pub trait Socket: fmt::Debug + Send + Sync {
    /// The address it has.
    ///
    /// # Errors
    /// When the system does not tell.
    fn address(&self) -> io::Result<SocketAddr>;

    /// The next peer that connects.
    fn accept(&self) -> BoxedFuture<'_, io::Result<Stream>>;
}

/// How peers are reached.
pub trait Network: fmt::Debug + Send + Sync + 'static {
    /// Listens at an address; port 0 takes any free one.
    fn listen(&self, address: SocketAddr) -> BoxedFuture<'_, io::Result<Box<dyn Socket>>>;

    /// Connects to `host:port`. The caller says how long it may take.
    fn dial<'a>(&'a self, address: &'a str) -> BoxedFuture<'a, io::Result<Stream>>;
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("peer", &self.peer).finish_non_exhaustive()
    }
}
