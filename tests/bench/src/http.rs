//! As much HTTP/1.1 as a load generator needs: a request as bytes, an answer read to its end.

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const READ_BYTES: usize = 16 * 1024;

/// One connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

/// The bytes of a request with a JSON body.
pub(crate) fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let socket =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: Vec::with_capacity(READ_BYTES) })
    }

    /// Sends a request and reads the whole answer. Returns its status; the answer stays in the buffer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.socket.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        match framing(&self.buffer[..head])? {
            Framing::Length(length) => self.read_until(head + length).await?,
            Framing::Chunked => self.read_chunks(head).await?,
        }
        let status = self.buffer.get(9..12).context("an answer without a status")?;
        Ok(std::str::from_utf8(status)?.parse()?)
    }

    /// The body of the last answer, if it came in one piece.
    pub(crate) fn body(&self) -> &[u8] {
        memmem::find(&self.buffer, b"\r\n\r\n").map_or(&[], |end| &self.buffer[end + 4..])
    }

    async fn read_chunks(&mut self, mut at: usize) -> Result<()> {
        loop {
            let Some(line) = memchr::memchr(b'\n', &self.buffer[at..]) else {
                self.read().await?;
                continue;
            };
            let size = std::str::from_utf8(&self.buffer[at..at + line])?.trim();
            let size = usize::from_str_radix(size, 16).with_context(|| format!("no chunk size: {size:?}"))?;
            at += line + 1 + size + 2;
            self.read_until(at).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn read_until(&mut self, length: usize) -> Result<()> {
        while self.buffer.len() < length {
            self.read().await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<()> {
        self.buffer.reserve(READ_BYTES);
        let read = self.socket.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the connection ended in the middle of an answer");
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

fn framing(head: &[u8]) -> Result<Framing> {
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    for line in head.lines() {
        if let Some(length) = line.strip_prefix("content-length:") {
            return Ok(Framing::Length(length.trim().parse()?));
        }
        if line.starts_with("transfer-encoding:") && line.ends_with("chunked") {
            return Ok(Framing::Chunked);
        }
    }
    bail!("an answer without a length: {head}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_framings_are_understood() {
        assert_eq!(
            framing(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n").expect("a length"),
            Framing::Length(12)
        );
        assert_eq!(
            framing(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").expect("chunks"),
            Framing::Chunked
        );
        assert!(framing(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
