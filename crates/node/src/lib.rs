//! Composition: settings, build, spawn, drain.
