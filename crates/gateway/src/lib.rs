//! The request path and the admin API.
