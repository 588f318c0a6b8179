//! How many tokens a text has, in the encodings of OpenAI's models. Pure.
//!
//! Counting takes time in proportion to the text, whatever it says: a client chooses the text, and must not choose how long a
//! node is busy with it (docs/adr/0014-exact-prompts.md). The one thing to know: an [`Encoding`] is loaded when it is first
//! used, which takes a tenth of a second.

mod encoding;

pub use encoding::Encoding;
