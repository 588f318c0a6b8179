//! All mutations, by the part of the program that they are wrong about.

mod buckets;
mod consensus;
mod journal;
mod rounds;
mod sessions;
mod spending;
mod windows;

use super::mutation::Mutation;

/// What no ideal log shows: how nodes agree, and what they say before their disks hold it.
pub(super) fn of_the_cluster() -> impl Iterator<Item = &'static Mutation> {
    consensus::MUTATIONS.iter()
}

/// Wrong versions of the quota protocol.
pub(super) fn of_the_protocol() -> impl Iterator<Item = &'static Mutation> {
    [
        rounds::MUTATIONS,
        sessions::MUTATIONS,
        spending::MUTATIONS,
        journal::MUTATIONS,
        buckets::MUTATIONS,
        windows::MUTATIONS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    fn all() -> impl Iterator<Item = &'static Mutation> {
        of_the_protocol().chain(of_the_cluster())
    }

    #[test]
    fn every_mutation_still_fits_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for mutation in all() {
            for edit in mutation.edits {
                let text = fs::read_to_string(root.join(edit.file)).expect("a file that is there");
                match edit.apply(&text) {
                    Ok(wrong) => assert_ne!(wrong, text, "{} changes nothing", mutation.name),
                    Err(error) => panic!("{}: {error}", mutation.name),
                }
            }
        }
    }

    #[test]
    fn every_mutation_has_a_name_of_its_own() {
        let names: BTreeSet<_> = all().map(|mutation| mutation.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
