//! What a request says of whose budgets it spends: its route, the tags in `x-quorate-tags`, and its end user.

use super::Proxy;
use crate::error::RequestError;
use http::{HeaderMap, HeaderName, HeaderValue};
use quorate_catalog::{ApiKey, Claim, EndUser, EndUserPolicy};
use quorate_domain::{EndUserId, Name, Tags};
use quorate_idempotency::Digest;

const X_TAGS: HeaderName = HeaderName::from_static("x-quorate-tags");
const X_END_USER: HeaderName = HeaderName::from_static("x-quorate-end-user");

/// Reads what a request for a route says; `of_body` is its end user by its body, for which the header may stand.
///
/// # Errors
/// A header that is not a list of tags.
pub(super) fn read(headers: &HeaderMap, of_body: Option<&str>, route: Name) -> Result<Claim, RequestError> {
    Ok(Claim { route, tags: tags(headers)?, end_user: end_user(headers, of_body) })
}

/// What tells a request from one with the same body whose headers say something else: the same for those that say the same
/// in other words. What is no end user's id is told as it stands, so that one of them is not taken for another.
pub(super) fn whose(headers: &HeaderMap, claim: &Claim) -> Digest {
    let tags: Vec<_> = claim.tags.iter().map(Name::as_str).collect();
    let tags = tags.join(",");
    let mut parts = vec![tags.as_bytes()];
    match &claim.end_user {
        EndUser::Unsaid => {}
        EndUser::Is(id) => parts.push(id.as_str().as_bytes()),
        EndUser::Unusable => parts.extend(end_users(headers).map(HeaderValue::as_bytes)),
    }
    Digest::of(&parts)
}

/// A header that stands twice is one list.
fn tags(headers: &HeaderMap) -> Result<Tags, RequestError> {
    let refused =
        || RequestError::InvalidHeader { name: X_TAGS, takes: "up to 16 tags, separated by commas" };
    let lists = headers.get_all(X_TAGS).iter().map(|value| value.to_str().map_err(|_| refused()));
    let lists = lists.collect::<Result<Vec<_>, _>>()?;
    Tags::parse(&lists.join(",")).map_err(|_| refused())
}

fn end_user(headers: &HeaderMap, of_body: Option<&str>) -> EndUser {
    let mut said = end_users(headers);
    let of = |text: &str| EndUserId::parse(text).map_or(EndUser::Unusable, EndUser::Is);
    match (said.next(), said.next()) {
        (None, _) => of_body.map_or(EndUser::Unsaid, of),
        (Some(value), None) => value.to_str().map_or(EndUser::Unusable, of),
        // Which of them is meant is not ours to guess.
        (Some(_), Some(_)) => EndUser::Unusable,
    }
}

fn end_users(headers: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
    headers.get_all(X_END_USER).iter().filter(|value| !value.is_empty())
}

impl Proxy {
    /// Whether a request with this key may say so.
    ///
    /// # Errors
    /// A tag that the key's requests may not give themselves; an end user who is missing or cannot be known by what it says,
    /// where it matters.
    pub(super) fn check_claim(&self, claim: &Claim, key: &ApiKey) -> Result<(), RequestError> {
        if let Some(tag) = claim.forbidden_tag(&key.spec) {
            return Err(RequestError::TagNotAllowed(tag.clone()));
        }
        match (&claim.end_user, key.spec.end_user) {
            (EndUser::Is(_), _) | (EndUser::Unsaid, EndUserPolicy::Optional) => Ok(()),
            (EndUser::Unsaid, EndUserPolicy::Required) => Err(RequestError::EndUserRequired),
            (EndUser::Unusable, EndUserPolicy::Required) => Err(RequestError::InvalidEndUser),
            (EndUser::Unusable, EndUserPolicy::Optional) if self.limits_end_users(key) => {
                Err(RequestError::InvalidEndUser)
            }
            (EndUser::Unusable, EndUserPolicy::Optional) => Ok(()),
        }
    }

    fn limits_end_users(&self, key: &ApiKey) -> bool {
        let replica = &self.parts.replica;
        let organisation = replica.catalog().read().serves_end_users_of(key).cloned();
        organisation.is_some_and(|organisation| replica.ledger().read().limits_end_users(&organisation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(
        name: &HeaderName,
        values: &[&'static str],
        of_body: Option<&str>,
    ) -> Result<Claim, RequestError> {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| _ = headers.append(name, HeaderValue::from_static(value)));
        read(&headers, of_body, "chat".parse().unwrap())
    }

    fn tagged(values: &[&'static str]) -> Result<Vec<String>, RequestError> {
        said(&X_TAGS, values, None).map(|claim| claim.tags.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn tags_of_several_headers_are_one_list() {
        assert_eq!(tagged(&["b, a", "c,a"]).unwrap(), ["a", "b", "c"]);
        assert_eq!(tagged(&[]).unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_no_tag_is_refused_by_the_name_of_the_header() {
        let refused = tagged(&["a b"]).unwrap_err();
        assert_eq!(refused.to_string(), "the header x-quorate-tags takes up to 16 tags, separated by commas");
    }

    #[test]
    fn the_header_says_who_the_end_user_is_and_else_the_body() {
        let of = |values: &[&'static str], of_body| said(&X_END_USER, values, of_body).unwrap().end_user;
        let is = |text| EndUser::Is(EndUserId::parse(text).unwrap());
        assert_eq!(of(&["ann"], Some("bob")), is("ann"));
        assert_eq!(of(&[""], Some("bob")), is("bob"));
        assert_eq!(of(&[], None), EndUser::Unsaid);
        for (values, of_body) in
            [(&["a b"][..], None), (&["ann", "bob"], None), (&[], Some("a b")), (&["a b"], Some("bob"))]
        {
            assert_eq!(of(values, of_body), EndUser::Unusable, "{values:?} {of_body:?}");
        }
    }

    #[test]
    fn who_says_another_end_user_or_other_tags_is_told_apart_and_other_words_for_the_same_are_not() {
        let of = |said: &[(&HeaderName, &'static str)], of_body| {
            let mut headers = HeaderMap::new();
            said.iter().for_each(|(name, value)| _ = headers.append(*name, HeaderValue::from_static(value)));
            whose(&headers, &read(&headers, of_body, "chat".parse().unwrap()).unwrap())
        };
        let unlike = [
            of(&[], None),
            of(&[], Some("ann")),
            of(&[(&X_END_USER, "bob")], Some("ann")),
            of(&[(&X_END_USER, "a b")], Some("ann")),
            of(&[(&X_END_USER, "a c")], Some("ann")),
            of(&[(&X_END_USER, "ann"), (&X_END_USER, "bob")], None),
            of(&[(&X_TAGS, "ann")], None),
            of(&[(&X_TAGS, "ann,bob")], None),
            of(&[(&X_TAGS, "ann"), (&X_END_USER, "bob")], None),
        ];
        assert_eq!(unlike.iter().collect::<std::collections::HashSet<_>>().len(), unlike.len());
        assert_eq!(of(&[(&X_END_USER, "ann")], Some("bob")), of(&[], Some("ann")));
        assert_eq!(of(&[(&X_TAGS, "b, a")], None), of(&[(&X_TAGS, "a"), (&X_TAGS, "b,a")], None));
    }
}
