//! Frozen samples: files that are added and never edited.

use super::super::{Kind, decode, encode, open};
use super::reader::Met;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// What was compared so far.
#[derive(Debug, Default)]
pub(super) struct Samples {
    names: BTreeSet<String>,
    written: Vec<PathBuf>,
    met: Met,
}

impl Samples {
    /// Compares with the frozen sample: it is read as this value, and this value is written as the sample was.
    pub(super) fn check<T>(&mut self, name: &str, kind: Kind, value: &T)
    where
        T: Serialize + DeserializeOwned + PartialEq + fmt::Debug,
    {
        let read: T = self.read(name, kind, || encode(kind, value));
        assert_eq!(&read, value, "{name} is read as it was written");
    }

    /// Reads a sample, whose value would be written as the sample was. One that is not there yet is written, for you to look
    /// at and to commit, and the test fails in the end.
    pub(super) fn read<T>(&mut self, name: &str, kind: Kind, fresh: impl FnOnce() -> Vec<u8>) -> T
    where
        T: Serialize + DeserializeOwned + PartialEq + fmt::Debug,
    {
        let frozen = self.bytes(name, fresh);
        let value: T = decode(kind, &frozen).unwrap();
        assert_eq!(encode(kind, &value), frozen, "{name} is written as it always was");
        let read: T = self.met.read(open(kind, &frozen).unwrap()).unwrap();
        assert_eq!(read, value, "{name} is read the same without the library");
        assert!(self.names.insert(name.to_owned()), "two samples are called {name}");
        value
    }

    /// Every variant that a sample could hold is in one, and every file was compared.
    pub(super) fn check_that_none_is_missing(&self) {
        let missing = self.met.missing();
        assert!(missing.is_empty(), "no frozen sample holds {missing:?}: add one (docs/adr/0004-codec.md)");
        let written = &self.written;
        assert!(written.is_empty(), "these were not there: look at them and commit them: {written:?}");
        assert_eq!(names(), self.names, "every frozen sample is compared with something");
    }

    fn bytes(&mut self, name: &str, fresh: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        if let Ok(bytes) = std::fs::read(dir().join(format!("{name}.bin"))) {
            return bytes;
        }
        let path = dir().join(format!("{name}.hex"));
        if let Ok(text) = std::fs::read_to_string(&path) {
            return bytes_of(&text);
        }
        let bytes = fresh();
        std::fs::write(&path, text_of(&bytes)).unwrap();
        self.written.push(path);
        bytes
    }
}

/// All frozen samples whose names begin with one of these, in their envelopes.
pub(crate) fn frozen(beginnings: &[&str]) -> Vec<Vec<u8>> {
    let is_meant = |name: &String| beginnings.iter().any(|beginning| name.starts_with(beginning));
    let read = |name: String| Samples::default().bytes(&name, || unreachable!("{name} was in the directory"));
    names().into_iter().filter(is_meant).map(read).collect()
}

fn names() -> BTreeSet<String> {
    let files = std::fs::read_dir(dir()).unwrap().map(|file| file.unwrap().path());
    files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn bytes_of(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn text_of(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    bytes.chunks(32).map(line).collect()
}

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/frozen")
}
