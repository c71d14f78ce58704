//! JSON that steers nobody: what callers typed is read in terminals and logs, too.

use std::io;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use portcullis::audit::steers;
use portcullis::core::Reason;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::answer::No;

/// An answer as JSON (RFC 8259): what is not seen but changes what is, is written as `\u….` as in the log's own
/// records, and a parser gets it back.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut body = Vec::with_capacity(256);
        match self
            .0
            .serialize(&mut Serializer::with_formatter(&mut body, Letters))
        {
            Ok(()) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(_) => No::from(Reason::Internal).into_response(),
        }
    }
}

/// Compact, as serde_json writes by itself.
struct Letters;

impl Formatter for Letters {
    /// What serde_json leaves of a string once it has written quotes, backslashes and C0's controls.
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(steers) {
            let (seen, unseen) = rest.split_at(at);
            writer.write_all(seen.as_bytes())?;
            let mut characters = unseen.chars();
            for unit in characters.by_ref().take(1).flat_map(utf16) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// RFC 8259 §7: one escape, or a pair of surrogates.
fn utf16(character: char) -> impl Iterator<Item = u16> {
    let mut units = [0; 2];
    let count = character.encode_utf16(&mut units).len();
    units.into_iter().take(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn written(text: &str) -> String {
        let mut body = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut body, Letters);
        text.serialize(&mut serializer).unwrap();
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn letters_stay_and_what_is_not_seen_is_written_out() {
        for (text, json) in [
            ("plain ~ \"\\", r#""plain ~ \"\\""#),
            (
                "Zo\u{eb} \u{540d}\u{524d} \u{663}",
                "\"Zo\u{eb} \u{540d}\u{524d} \u{663}\"",
            ),
            ("\u{1b}[31m\n\0", r#""\u001b[31m\n\u0000""#),
            ("\u{7f}\u{9b}a\u{85}", r#""\u007f\u009ba\u0085""#),
            ("a\u{202e}b\u{2066}\u{200b}", r#""a\u202eb\u2066\u200b""#),
            (
                "\u{2028}\u{2029}\u{feff}\u{ad}",
                r#""\u2028\u2029\ufeff\u00ad""#,
            ),
            ("\u{3164}\u{17b4}\u{e0041}", r#""\u3164\u17b4\udb40\udc41""#),
        ] {
            assert_eq!(written(text), json);
        }
    }

    proptest! {
        #[test]
        fn a_parser_gets_back_what_was_written(text in any::<String>()) {
            let json = written(&text);
            prop_assert!(!json.chars().any(steers), "{}", json);
            prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), Value::from(text));
        }
    }
}
