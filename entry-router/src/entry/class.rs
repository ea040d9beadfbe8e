//! The class of an entry: what the route's `classify` names, joined by slashes.

use std::borrow::Cow;

use foreshift_api::journal_route::{Classify, HeaderName};
use http::{
    HeaderMap,
    header::{self, AsHeaderName},
    request,
};

/// Characters of a class at most; what is longer is cut.
const LONGEST: usize = 96;

/// The class of a request. Where the route names no headers, it is the body's media type.
#[must_use]
pub fn of<'a>(head: &'a request::Parts, classify: &Classify) -> Cow<'a, str> {
    if names(classify).all(|name| name.is_none()) {
        return media_type(&head.headers);
    }
    let parts: Vec<&str> = names(classify)
        .flatten()
        .map(|name| value(&head.headers, &name.header).unwrap_or_default())
        .collect();
    match parts[..] {
        [only] => Cow::Borrowed(cut(only)),
        _ if parts.iter().all(|part| part.is_empty()) => Cow::Borrowed(""),
        _ => Cow::Owned(cut(&parts.join("/")).to_owned()),
    }
}

fn names(classify: &Classify) -> impl Iterator<Item = Option<&HeaderName>> {
    let Classify { type_, source, destination, steps } = classify;
    [type_.as_ref(), source.as_ref(), destination.as_ref(), steps.as_ref()].into_iter()
}

fn media_type(headers: &HeaderMap) -> Cow<'_, str> {
    let told = value(headers, header::CONTENT_TYPE).unwrap_or_default();
    Cow::Borrowed(cut(told.split(';').next().unwrap_or_default().trim()))
}

fn value(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn classed(classify: &Classify, headers: &[(&str, &str)]) -> String {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        of(&request.body(()).unwrap().into_parts().0, classify).into_owned()
    }

    fn named(header: &str) -> HeaderName {
        HeaderName { header: header.into() }
    }

    #[test]
    fn the_named_headers_make_the_class() {
        let type_only = Classify { type_: Some(named("X-Entry-Type")), ..Classify::default() };
        let both = Classify { source: Some(named("x-from")), ..type_only.clone() };
        assert_eq!(classed(&type_only, &[("x-entry-type", "audit")]), "audit");
        assert_eq!(classed(&type_only, &[]), "");
        assert_eq!(classed(&both, &[("x-entry-type", "audit"), ("x-from", "pos")]), "audit/pos");
        assert_eq!(classed(&both, &[("x-from", "pos")]), "/pos");
        assert_eq!(classed(&both, &[]), "");
        let steps = Classify { steps: Some(named("x-steps")), ..type_only.clone() };
        assert_eq!(
            classed(&steps, &[("x-entry-type", "audit"), ("x-steps", "sign,index")]),
            "audit/sign,index"
        );
        assert_eq!(classed(&type_only, &[("x-entry-type", &"a".repeat(500))]).len(), LONGEST);
    }

    #[test]
    fn without_names_the_media_type_is_the_class() {
        let named_nothing = Classify::default();
        let head = [("content-type", "application/vnd.fdo.journal; charset=x")];
        assert_eq!(classed(&named_nothing, &head), "application/vnd.fdo.journal");
        assert_eq!(classed(&named_nothing, &head), "application/vnd.fdo.journal");
        assert_eq!(classed(&named_nothing, &[]), "");
    }
}
