//! Which target next, after which failure. Pure.
