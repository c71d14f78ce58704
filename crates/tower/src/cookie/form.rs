//! What is a form, and its one token.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode;

use super::request::sole;

/// Whether the body is a form as a page without a script sends it. Another kind carries no field, and
/// is not read.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let Ok(Some(kind)) = sole(headers, &CONTENT_TYPE) else {
        return false;
    };
    // Parameters, such as a charset, do not change how its bytes are split.
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(FORM)
}

/// The one value of the field `csrf_token`, decoded as `application/x-www-form-urlencoded` is. None
/// when there is none, or more than one: which of them the handler would read is not ours to guess.
pub(crate) fn csrf_field(body: &[u8]) -> Option<Vec<u8>> {
    let mut values = body.split(|byte| *byte == b'&').filter_map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = decoded(halves.next().unwrap_or_default());
        (name == FIELD).then(|| decoded(halves.next().unwrap_or_default()))
    });
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_decode(&spaced).collect()
}

/// Enough for every form of text fields; a file is sent as another kind of body.
pub(crate) const DEFAULT_LIMIT_BYTES: usize = 64 * 1024;
const FORM: &[u8] = b"application/x-www-form-urlencoded";
const FIELD: &[u8] = b"csrf_token";

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn the_one_field_is_read_as_a_form_is_decoded() {
        let cases: [(&str, Option<&str>); 16] = [
            ("", None),
            ("user=alice", None),
            ("csrf_token=abc", Some("abc")),
            ("user=a&csrf_token=abc&code=1", Some("abc")),
            ("csrf%5Ftoken=a%2Db+c", Some("a-b c")),
            ("csrf_token=a=b", Some("a=b")),
            ("csrf_token=", Some("")),
            ("csrf_token", Some("")),
            ("&&csrf_token=abc&&", Some("abc")),
            ("csrf_token=abc&csrf_token=abc", None),
            ("csrf_token=abc&csrf%5ftoken=def", None),
            ("csrf_token&csrf_token=abc", None),
            ("CSRF_TOKEN=abc", None),
            ("xcsrf_token=abc&csrf_tokenx=abc", None),
            ("user=csrf_token=abc", None),
            ("csrf_token%3Dabc", None),
        ];
        for (body, value) in cases {
            let read = csrf_field(body.as_bytes());
            assert_eq!(read.as_deref(), value.map(str::as_bytes), "{body}");
        }
    }

    #[test]
    fn only_a_urlencoded_body_is_a_form() {
        let cases = [
            ("application/x-www-form-urlencoded", true),
            ("application/x-www-form-urlencoded; charset=UTF-8", true),
            ("Application/X-WWW-Form-Urlencoded", true),
            ("application/x-www-form-urlencodedx", false),
            ("text/plain", false),
            ("multipart/form-data; boundary=x", false),
            ("application/json", false),
            ("", false),
        ];
        for (kind, form) in cases {
            let mut headers = HeaderMap::new();
            assert!(!is_form(&headers));
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(is_form(&headers), form, "{kind}");
            headers.append(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert!(!is_form(&headers), "{kind} twice");
        }
    }

    proptest! {
        #[test]
        fn a_second_field_takes_the_first_ones_word_away(body in "[a-z_=&%+0-9]{0,40}") {
            let twice = format!("csrf_token=a&{body}");
            let alone = csrf_field(body.as_bytes());
            let both = csrf_field(twice.as_bytes());
            prop_assert!(alone.is_none() || both.is_none());
        }
    }
}
