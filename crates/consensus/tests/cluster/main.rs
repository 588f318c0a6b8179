//! Whole replicas in one process, talking over real loopback sockets and storing on a real disk.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod freshness;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod writes;
