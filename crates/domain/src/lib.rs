//! The words everyone shares: ids, names, amounts, money, windows, time zones and log time.
//!
//! Pure: no I/O, no clock, no randomness. Quantities are integers, so that every replica computes the same
//! numbers. Start with [`Amount`] and [`Unit`], then [`Window`].

mod amount;
mod calendar;
mod end_user;
mod id;
mod money;
mod name;
mod refill;
mod secret;
mod subject;
mod tags;
mod time;
mod window;
mod zone;

pub use amount::{Amount, Unit};
pub use calendar::{Calendar, Weekday};
pub use end_user::{EndUserId, EndUserIdError};
pub use id::{BootId, BudgetId, ClusterId, GroupId, KeyId, NodeId, PlaceId, Revision, Round, SessionId};
pub use money::{NanoUsd, ParseMoneyError, PicoUsdPerToken, Tokens};
pub use name::{Name, NameError};
pub use refill::Refill;
pub use secret::Secret;
pub use subject::{ParseSubjectError, Subject};
pub use tags::{TAGS_MAX, Tags, TagsError};
pub use time::{Clock, LogTime, MonoTime, Span};
pub use window::{Period, Window, WindowId};
pub use zone::{Offsets, TimeZone, UtcOffset, ZoneName, ZoneNameError};
