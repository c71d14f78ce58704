//! What a browser sees first.

use axum::response::Redirect;
use http::HeaderMap;
use http::header::ACCEPT;

/// Where a browser goes that asks for the front page; none for whoever does not ask for HTML.
pub(crate) fn instead_of_text(request: &HeaderMap) -> Option<Redirect> {
    let ranges = request
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut types = ranges.filter_map(|range| range.split(';').next());
    types
        .any(|name| name.trim().eq_ignore_ascii_case("text/html"))
        .then(|| Redirect::to("/account"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_anything_gets_the_text_and_who_asks_for_html_the_page() {
        let answer = |accept: Option<&'static str>| {
            let value = accept.map(http::HeaderValue::from_static);
            let headers: HeaderMap = value.map(|value| (ACCEPT, value)).into_iter().collect();
            instead_of_text(&headers).is_some()
        };
        for text in [
            None,
            Some("*/*"),
            Some("application/json"),
            Some("text/plain, text/html-like"),
        ] {
            assert!(!answer(text), "{text:?}");
        }
        assert!(answer(Some("text/html,application/xhtml+xml,*/*;q=0.8")));
        assert!(answer(Some("application/xml, TEXT/HTML;q=0.9")));
    }
}
