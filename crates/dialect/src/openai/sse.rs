//! Server-sent events as bytes: where one ends, and which line of it is the payload.

use std::borrow::Cow;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Finds the ends of events in a stream that arrives in arbitrary pieces. Lines end with LF, CRLF or CR.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    at: At,
}

#[derive(Clone, Copy, Debug, Default)]
enum At {
    /// Where a line terminator would make a blank line and so end the event.
    #[default]
    LineStart,
    InLine,
    /// After a CR, which an LF may still follow.
    AfterCr {
        blank: bool,
    },
}

impl Splitter {
    /// The end of the first event in `bytes`, which go on where the last call stopped: after the end it gave, or
    /// after all its bytes when it gave none.
    pub(super) fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let first = *rest.first()?;
            match (self.at, first) {
                (At::AfterCr { blank }, _) => {
                    at += usize::from(first == b'\n');
                    self.at = At::LineStart;
                    if blank {
                        return Some(at);
                    }
                }
                (At::LineStart, b'\n') => return Some(at + 1),
                (At::LineStart, b'\r') => {
                    at += 1;
                    self.at = At::AfterCr { blank: true };
                }
                (At::LineStart | At::InLine, _) => {
                    self.at = At::InLine;
                    let end = memchr::memchr2(b'\n', b'\r', rest)?;
                    self.at = if rest[end] == b'\n' { At::LineStart } else { At::AfterCr { blank: false } };
                    at += end + 1;
                }
            }
        }
    }
}

/// What one event says.
#[derive(Debug, Default)]
pub(super) struct Event<'a> {
    /// Its `data` lines, joined; `None` for a comment or a blank.
    pub(super) data: Option<Cow<'a, [u8]>>,
    /// Whether it calls itself an error.
    pub(super) is_error: bool,
}

impl<'a> Event<'a> {
    pub(super) fn read(block: &'a [u8]) -> Self {
        let mut event = Self::default();
        let mut rest = block.strip_prefix(BYTE_ORDER_MARK).unwrap_or(block);
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            event.read_line(&rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        event
    }

    fn read_line(&mut self, line: &'a [u8]) {
        if let Some(value) = field(line, b"data") {
            match &mut self.data {
                None => self.data = Some(Cow::Borrowed(value)),
                Some(data) => {
                    data.to_mut().push(b'\n');
                    data.to_mut().extend_from_slice(value);
                }
            }
        } else if field(line, b"event").is_some_and(|name| name == b"error") {
            self.is_error = true;
        }
    }
}

/// The value of a line if it is of this field; one space after the colon is not part of it.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(stream: &str) -> Vec<&str> {
        let (mut splitter, mut start, mut events) = (Splitter::default(), 0, Vec::new());
        while let Some(length) = splitter.find_end(&stream.as_bytes()[start..]) {
            events.push(&stream[start..start + length]);
            start += length;
        }
        events.push(&stream[start..]);
        events
    }

    #[test]
    fn an_event_ends_with_a_blank_line_of_any_kind() {
        assert_eq!(split("data: a\n\ndata: b\n\n"), ["data: a\n\n", "data: b\n\n", ""]);
        assert_eq!(split("data: a\r\n\r\ndata: b"), ["data: a\r\n\r\n", "data: b"]);
        assert_eq!(split("data: a\r\rdata: b\r\r"), ["data: a\r\r", "data: b\r\r"]);
        assert_eq!(split("data: a\ndata: b\n\n\n"), ["data: a\ndata: b\n\n", "\n", ""]);
    }

    #[test]
    fn data_lines_are_joined_and_comments_passed_over() {
        let data = |block: &'static str| Event::read(block.as_bytes()).data.map(Cow::into_owned);
        assert_eq!(data(": waiting\n\n"), None);
        assert_eq!(data("data: a\n: b\ndata:c\r\nid: 1\n\n").unwrap(), b"a\nc");
        assert_eq!(data("\u{feff}data: a\n\n").unwrap(), b"a");
        assert_eq!(data("data\n\n").unwrap(), b"");
        assert_eq!(data("database: a\n\n"), None);
        assert!(Event::read(b"event: error\ndata: {}\n\n").is_error);
    }
}
