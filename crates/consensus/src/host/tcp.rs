//! The machine's network: TCP.

use super::{BoxedFuture, Network, Socket, Stream};
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What the kernel may hold back: a heartbeat waits behind no more than this.
const SEND_BUFFER: u32 = 512 << 10;

/// TCP.
#[derive(Debug)]
pub(super) struct Tcp;

impl Network for Tcp {
    fn listen(&self, address: SocketAddr) -> BoxedFuture<'_, io::Result<Box<dyn Socket>>> {
        Box::pin(async move { Ok(Box::new(TcpListener::bind(address).await?) as Box<dyn Socket>) })
    }

    fn dial<'a>(&'a self, address: &'a str) -> BoxedFuture<'a, io::Result<Stream>> {
        Box::pin(async move { Ok(stream(connect(address).await?, address.to_owned())) })
    }
}

impl Socket for TcpListener {
    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn accept(&self) -> BoxedFuture<'_, io::Result<Stream>> {
        Box::pin(async {
            let (accepted, from) = Self::accept(self).await?;
            accepted.set_nodelay(true)?;
            Ok(stream(accepted, from.to_string()))
        })
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host(address).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.set_nodelay(true)?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn stream(connected: TcpStream, peer: String) -> Stream {
    let (read, write) = connected.into_split();
    Stream { read: Box::new(read), write: Box::new(write), peer }
}
