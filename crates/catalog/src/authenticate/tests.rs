//! Rules of authentication.

use super::AuthenticationFailure as Failure;
use crate::fixtures::{apply, at, create_key, founded, key_text, owned_by, revoke_key, rotate_key};
use crate::{Catalog, KeySpec, Role};
use quorate_domain::LogTime;

fn with_key(spec: KeySpec) -> Catalog {
    let mut catalog = founded();
    apply(&mut catalog, [create_key(5, Role::Client, spec)]).unwrap();
    catalog
}

fn opened(catalog: &Catalog, id: u64, secret: u8, now: u64) -> Result<u64, Failure> {
    catalog.authenticate(key_text(id, secret).expose(), at(now)).map(|key| key.id.get())
}

#[test]
fn only_the_whole_text_of_a_key_opens_it() {
    let catalog = with_key(KeySpec::default());
    assert_eq!(opened(&catalog, 5, 7, 0), Ok(5));
    assert_eq!(opened(&catalog, 5, 8, 0), Err(Failure::WrongSecret));
    assert_eq!(opened(&catalog, 6, 7, 0), Err(Failure::Unknown));
    assert_eq!(catalog.authenticate("sk-test", at(0)), Err(Failure::Malformed));
}

#[test]
fn nothing_opens_a_cluster_that_is_not_founded() {
    assert_eq!(opened(&Catalog::default(), 5, 7, 0), Err(Failure::Unknown));
}

#[test]
fn a_key_is_valid_until_its_last_millisecond() {
    let catalog = with_key(KeySpec { expires_at: Some(LogTime::from_millis(5_000)), ..KeySpec::default() });
    assert_eq!(opened(&catalog, 5, 7, 4_999), Ok(5));
    assert_eq!(opened(&catalog, 5, 7, 5_000), Err(Failure::Expired));
    assert_eq!(opened(&catalog, 5, 8, 5_000), Err(Failure::WrongSecret));
}

#[test]
fn a_revoked_key_opens_nothing() {
    let mut catalog = with_key(owned_by(None, None, None));
    apply(&mut catalog, [revoke_key(5)]).unwrap();
    assert_eq!(opened(&catalog, 5, 7, 0), Err(Failure::Revoked));
}

#[test]
fn both_texts_open_a_key_during_a_rotation() {
    let mut catalog = with_key(KeySpec::default());
    apply(&mut catalog, [rotate_key(5, 8, 500)]).unwrap();
    assert_eq!((opened(&catalog, 5, 7, 1_499), opened(&catalog, 5, 8, 1_499)), (Ok(5), Ok(5)));
    assert_eq!(
        (opened(&catalog, 5, 7, 1_500), opened(&catalog, 5, 8, 1_500)),
        (Err(Failure::WrongSecret), Ok(5))
    );
    apply(&mut catalog, [rotate_key(5, 9, 0)]).unwrap();
    assert_eq!(
        (opened(&catalog, 5, 8, 1_000), opened(&catalog, 5, 9, 1_000)),
        (Err(Failure::WrongSecret), Ok(5))
    );
}
