//! The lists of a request (messages, tools, parts of a message): how many entries, and what they hold besides text.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// What a conversation holds besides text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Media {
    pub(super) images: u32,
    pub(super) audios: u32,
    pub(super) files: u32,
    /// Parts and tools of a kind whose cost nobody told us.
    pub(super) unknown: u32,
    /// Bytes of the body that are images, audio and files, and therefore no prompt text.
    pub(super) bytes: u64,
}

/// What the entries of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Message,
    Part,
    Tool,
    Function,
}

/// What stands where a list belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Null,
    Entries(u32),
}

impl Listed {
    /// How many entries there are.
    pub(super) const fn count(self) -> u32 {
        match self {
            Self::Null => 0,
            Self::Entries(count) => count,
        }
    }
}

/// A list to count, adding what its entries hold to `media`.
pub(super) struct List<'m> {
    of: EntryKind,
    media: &'m mut Media,
}

impl<'m> List<'m> {
    pub(super) fn new(of: EntryKind, media: &'m mut Media) -> Self {
        Self { of, media }
    }
}

impl<'a> DeserializeSeed<'a> for List<'_> {
    type Value = Listed;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Listed, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for List<'_> {
    type Value = Listed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_unit<E>(self) -> Result<Listed, E> {
        Ok(Listed::Null)
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut list: S) -> Result<Listed, S::Error> {
        let mut count = 0_u32;
        while list.next_element_seed(Entry { of: self.of, media: self.media })?.is_some() {
            count = count.saturating_add(1);
        }
        Ok(Listed::Entries(count))
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum EntryField {
    Type,
    Content,
    Audio,
    #[serde(other)]
    Other,
}

struct Entry<'m> {
    of: EntryKind,
    media: &'m mut Media,
}

impl<'a> DeserializeSeed<'a> for Entry<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.of {
            EntryKind::Part => deserializer.deserialize_any(self),
            EntryKind::Message | EntryKind::Tool | EntryKind::Function => deserializer.deserialize_map(self),
        }
    }
}

impl<'a> Visitor<'a> for Entry<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    /// Some compatible providers take plain strings as the parts of a message.
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut map: M) -> Result<(), M::Error> {
        let mut kind = None;
        let mut bytes = 0;
        while let Some(field) = map.next_key::<EntryField>()? {
            let value = map.next_value::<&RawValue>()?.get();
            bytes += value.len() as u64;
            match field {
                EntryField::Type if kind.replace(value).is_some() => self.media.unknown += 1,
                EntryField::Content => self.read_content(value).map_err(M::Error::custom)?,
                EntryField::Audio if self.of == EntryKind::Message && value != "null" => {
                    // An assistant's earlier audio answer is named by its id and costs its tokens again.
                    self.media.audios += 1;
                }
                EntryField::Type | EntryField::Audio | EntryField::Other => {}
            }
        }
        self.count(kind.unwrap_or_default(), bytes);
        Ok(())
    }
}

impl Entry<'_> {
    fn read_content(&mut self, value: &str) -> Result<(), serde_json::Error> {
        if self.of != EntryKind::Message || !value.starts_with('[') {
            return Ok(());
        }
        let parts = List::new(EntryKind::Part, self.media);
        parts.deserialize(&mut serde_json::Deserializer::from_str(value)).map(|_| ())
    }

    /// Kinds are compared as they are written. One written with escapes counts as unknown, which is refused.
    fn count(self, kind: &str, bytes: u64) {
        let media = self.media;
        let counter = match (self.of, kind) {
            (EntryKind::Message | EntryKind::Function, _)
            | (EntryKind::Part, r#""text""# | r#""refusal""# | r#""input_text""# | r#""output_text""#)
            | (EntryKind::Tool, r#""function""# | r#""custom""#) => return,
            (EntryKind::Part, r#""image_url""# | r#""input_image""# | r#""image""#) => &mut media.images,
            (EntryKind::Part, r#""input_audio""#) => &mut media.audios,
            (EntryKind::Part, r#""file""# | r#""input_file""#) => &mut media.files,
            // Tools that a provider runs itself bring tokens and fees that no bound of ours covers.
            (EntryKind::Part | EntryKind::Tool, _) => &mut media.unknown,
        };
        *counter = counter.saturating_add(1);
        media.bytes = media.bytes.saturating_add(bytes);
    }
}
