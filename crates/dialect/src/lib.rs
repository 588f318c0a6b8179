//! Provider wire formats, as bytes in and events out. Pure.
