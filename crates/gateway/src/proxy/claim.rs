//! What a request says of whose budgets it spends: its route, and the tags in `x-quorate-tags`.

use crate::error::RequestError;
use http::{HeaderMap, HeaderName};
use quorate_catalog::{ApiKey, Claim};
use quorate_domain::{Name, Tags};

const X_TAGS: HeaderName = HeaderName::from_static("x-quorate-tags");

/// Reads what a request for a route says.
///
/// # Errors
/// A header that is not a list of tags.
pub(super) fn read(headers: &HeaderMap, route: Name) -> Result<Claim, RequestError> {
    Ok(Claim { route, tags: tags(headers)? })
}

/// Whether a request with this key may say so.
///
/// # Errors
/// A tag that the key's requests may not give themselves.
pub(super) fn check(claim: &Claim, key: &ApiKey) -> Result<(), RequestError> {
    match claim.forbidden_tag(&key.spec) {
        Some(tag) => Err(RequestError::TagNotAllowed(tag.clone())),
        None => Ok(()),
    }
}

/// A header that stands twice is one list.
fn tags(headers: &HeaderMap) -> Result<Tags, RequestError> {
    let refused =
        || RequestError::InvalidHeader { name: X_TAGS, takes: "up to 16 tags, separated by commas" };
    let lists = headers.get_all(X_TAGS).iter().map(|value| value.to_str().map_err(|_| refused()));
    let lists = lists.collect::<Result<Vec<_>, _>>()?;
    Tags::parse(&lists.join(",")).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn tagged(values: &[&'static str]) -> Result<Vec<String>, RequestError> {
        let values = values.iter().map(|value| (X_TAGS, HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| _ = headers.append(name, value));
        let claim = read(&headers, "chat".parse().unwrap())?;
        Ok(claim.tags.iter().map(ToString::to_string).collect())
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
}
