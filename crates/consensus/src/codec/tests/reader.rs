//! Reads our bytes with no help from a library, and notes which variants of which enums it met.
//!
//! That this small file reads every frozen sample also shows how little the format is, should bincode have to go.

use serde::de::value::Error;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer as _,
    MapAccess, SeqAccess, VariantAccess, Visitor,
};
use std::collections::{BTreeMap, BTreeSet};

/// An enum, known by its name and those of its variants: some share the name alone.
type Enum = (&'static str, &'static [&'static str]);

/// Which variants were met of every enum that was met at all.
#[derive(Debug, Default)]
pub(super) struct Met(BTreeMap<Enum, BTreeSet<usize>>);

impl Met {
    /// Reads a value that takes all of `bytes`.
    pub(super) fn read<T: DeserializeOwned>(&mut self, bytes: &[u8]) -> Result<T, Error> {
        let mut reader = Reader { bytes, met: self };
        let value = T::deserialize(&mut reader)?;
        if reader.bytes.is_empty() { Ok(value) } else { Err(Error::custom("bytes are left over")) }
    }

    /// Variants that stand in no sample.
    pub(super) fn missing(&self) -> Vec<String> {
        let missing_of = |((name, variants), met): (&Enum, &BTreeSet<usize>)| {
            let missing = (0..variants.len()).filter(|at| !met.contains(at));
            missing.map(|at| format!("{name}::{}", variants[at])).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(missing_of).collect()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    met: &'a mut Met,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or_else(|| Error::custom("it is cut off"))?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn length(&mut self) -> Result<usize, Error> {
        usize::try_from(u64::from_le_bytes(self.take()?)).map_err(Error::custom)
    }

    fn buffer(&mut self) -> Result<Vec<u8>, Error> {
        let length = self.length()?;
        let (taken, rest) =
            self.bytes.split_at_checked(length).ok_or_else(|| Error::custom("it is cut off"))?;
        self.bytes = rest;
        Ok(taken.to_vec())
    }

    fn text(&mut self) -> Result<String, Error> {
        String::from_utf8(self.buffer()?).map_err(Error::custom)
    }
}

macro_rules! numbers {
    ($($deserialize:ident $visit:ident $number:ty),+) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(<$number>::from_le_bytes(self.take()?))
        }
    )+};
}

macro_rules! unused {
    ($($deserialize:ident),+) => {$(
        fn $deserialize<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom(concat!("nothing stored needs ", stringify!($deserialize))))
        }
    )+};
}

impl<'de> Deserializer<'de> for &mut Reader<'_> {
    type Error = Error;

    numbers!(
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_u128 visit_u128 u128, deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128
    );

    unused!(
        deserialize_any,
        deserialize_f32,
        deserialize_f64,
        deserialize_char,
        deserialize_bytes,
        deserialize_identifier,
        deserialize_ignored_any
    );

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.take()? {
            [0] => visitor.visit_bool(false),
            [1] => visitor.visit_bool(true),
            [other] => Err(Error::custom(format!("{other} is neither true nor false"))),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_byte_buf(self.buffer()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.take()? {
            [0] => visitor.visit_none(),
            [1] => visitor.visit_some(self),
            [other] => Err(Error::custom(format!("{other} is neither none nor some"))),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.length()?;
        visitor.visit_seq(Items { reader: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { reader: self, left: length })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { reader: self, left: length })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.length()?;
        visitor.visit_map(Items { reader: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { reader: self, left: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = u32::from_le_bytes(self.take()?);
        let at = usize::try_from(variant).map_err(Error::custom)?;
        self.met.0.entry((name, variants)).or_default().insert(at);
        visitor.visit_enum(Variant { reader: self, variant })
    }
}

/// Items that follow one another: of a list, a map or a structure.
struct Items<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(&mut *self.reader)
    }
}

struct Variant<'r, 'a> {
    reader: &'r mut Reader<'a>,
    variant: u32,
}

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let variant = seed.deserialize(self.variant.into_deserializer())?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { reader: self.reader, left: length })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { reader: self.reader, left: fields.len() })
    }
}

#[test]
fn a_variant_that_no_sample_holds_is_named() {
    use quorate_ledger::{Expected, Urgency};
    let mut met = Met::default();
    assert!(met.read::<Vec<Expected>>(&[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]).is_ok());
    assert!(met.read::<Urgency>(&[2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]).is_ok());
    assert_eq!(
        met.missing(),
        ["Expected::absent", "Expected::revision", "Urgency::CanWait", "Urgency::Proof"]
    );
    assert!(met.read::<u16>(&[1]).is_err() && met.read::<u16>(&[1, 0, 0]).is_err());
}
