//! Who votes: what the autopilot wishes for, what plans say, and that no order of changes breaks what both promise.

#[cfg(test)]
mod autopilot;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod town;
