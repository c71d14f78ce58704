//! A token's segments and its header.

use std::borrow::Cow;

use data_encoding::BASE64URL_NOPAD;

use crate::Error;
use crate::error::JsonFault;
use crate::json::{self, Limits, Raw};

/// A token cut into its three segments, still encoded (RFC 7515 §7.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compact<'a> {
    pub(crate) header: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: &'a str,
    /// Header, dot and payload: what is signed.
    pub(crate) signed: &'a str,
}

impl<'a> Compact<'a> {
    /// Cuts a token of at most `max_bytes`. Nothing is decoded, allocated or looked at beyond that.
    pub(crate) fn split(token: &'a str, max_bytes: usize) -> Result<Self, Error> {
        if token.len() > max_bytes {
            return Err(Error::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Error::NotCompact)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::NotCompact)?;
        if payload.contains('.') {
            return Err(Error::NotCompact);
        }
        if header.len() > HEADER_BYTES_MAX {
            return Err(Error::TooLong);
        }
        Ok(Self {
            header,
            payload,
            signature,
            signed,
        })
    }
}

/// The members of a header that say something here; the rest is checked and ignored (RFC 7515 §4).
#[derive(Debug)]
pub(crate) struct Header<'a> {
    pub(crate) alg: Cow<'a, str>,
    pub(crate) typ: Option<Cow<'a, str>>,
    pub(crate) kid: Option<Cow<'a, str>>,
}

impl<'a> Header<'a> {
    /// Reads a decoded header.
    pub(crate) fn read(text: &'a str) -> Result<Self, Error> {
        let (mut alg, mut typ, mut kid) = (None, None, None);
        let mut refused = None;
        json::members(text, HEADER_LIMITS, &mut |name, value| {
            match name {
                "alg" => alg = Some(value),
                "typ" => typ = Some(value),
                "kid" => kid = Some(value),
                _ => refused = refused.or(refusal(name, value)),
            };
        })
        .map_err(Error::HeaderJson)?;
        if let Some(name) = refused {
            return Err(Error::HeaderMember(name));
        }
        Ok(Self {
            alg: text_of("alg", alg)?.ok_or(Error::HeaderMember("alg"))?,
            typ: text_of("typ", typ)?,
            kid: text_of("kid", kid)?,
        })
    }
}

/// Why a member of a header is refused, by its name; `None` for one that is ignored.
fn refusal(name: &str, value: Raw<'_>) -> Option<&'static str> {
    let find = |names: &[&'static str]| names.iter().copied().find(|known| *known == name);
    find(REFUSED).or_else(|| find(IGNORED_TEXTS).filter(|_| value.string().is_none()))
}

fn text_of<'a>(name: &'static str, value: Option<Raw<'a>>) -> Result<Option<Cow<'a, str>>, Error> {
    value
        .map(|value| value.string().ok_or(Error::HeaderMember(name)))
        .transpose()
}

/// Whether a header's `typ` names `kind`: media types ignore case, and the prefix `application/` may
/// be left out (RFC 7515 §4.1.9).
pub(crate) fn is_kind(typ: &str, kind: &str) -> bool {
    let (prefix, rest) = typ.split_at_checked(APPLICATION.len()).unwrap_or(("", typ));
    let bare = if prefix.eq_ignore_ascii_case(APPLICATION) {
        rest
    } else {
        typ
    };
    bare.eq_ignore_ascii_case(kind)
}

/// Decodes a segment: no padding, no white space, no bits left over (RFC 7515 §2, RFC 4648 §3.5).
pub(crate) fn decode(segment: &str) -> Result<Vec<u8>, Error> {
    BASE64URL_NOPAD
        .decode(segment.as_bytes())
        .map_err(|_| Error::NotBase64url)
}

/// Decodes a segment of exactly `out.len()` bytes; one of another length is no signature.
pub(crate) fn decode_into(segment: &str, out: &mut [u8]) -> Result<(), Error> {
    match BASE64URL_NOPAD.decode_len(segment.len()) {
        Ok(len) if len == out.len() => {}
        Ok(_) => {
            // The alphabet is judged first, so that the error does not depend on the length alone.
            decode(segment)?;
            return Err(Error::Signature);
        }
        Err(_) => return Err(Error::NotBase64url),
    }
    BASE64URL_NOPAD
        .decode_mut(segment.as_bytes(), out)
        .map(|_| ())
        .map_err(|_| Error::NotBase64url)
}

/// The text of a decoded segment.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, JsonFault> {
    std::str::from_utf8(bytes).map_err(|_| JsonFault::NotUtf8)
}

/// Encoded bytes of a header that are looked at; ours have about 70.
pub(crate) const HEADER_BYTES_MAX: usize = 1024;

const APPLICATION: &str = "application/";

const HEADER_LIMITS: Limits = Limits {
    depth: 4,
    members: 32,
};

/// Members that carry a key or a place to fetch one from, that change how the token is read, or that
/// mean encryption or a token within the token: `crit` and `b64` (RFC 7797) are refused whole, since
/// no extension is understood here.
const REFUSED: &[&str] = &[
    "crit", "b64", "zip", "enc", "cty", "jwk", "jku", "x5u", "x5c",
];

/// Members that say nothing here but are strings wherever they are registered.
const IGNORED_TEXTS: &[&str] = &["x5t", "x5t#S256", "url", "nonce"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_anything_but_three_segments() {
        for token in [
            "",
            ".",
            "a",
            "a.b",
            "a.b.c.d",
            "....",
            "a.b.c.d.e",
            &".".repeat(8000),
        ] {
            assert!(
                matches!(Compact::split(token, 8192), Err(Error::NotCompact)),
                "{token}"
            );
        }
        let json = r#"{"protected":"e30","payload":"e30","signature":""}"#;
        assert!(matches!(Compact::split(json, 8192), Err(Error::NotCompact)));
    }

    #[test]
    fn refuses_a_token_or_header_beyond_its_cap_and_admits_one_at_it() {
        let token =
            |header: usize, rest: usize| format!("{}.{}.c", "a".repeat(header), "b".repeat(rest));
        assert!(Compact::split(&token(1024, 96), 1123).is_ok());
        assert!(matches!(
            Compact::split(&token(1024, 97), 1123),
            Err(Error::TooLong)
        ));
        assert!(matches!(
            Compact::split(&token(1025, 9), 8192),
            Err(Error::TooLong)
        ));
    }

    #[test]
    fn refuses_every_second_spelling_of_a_segment() {
        assert_eq!(decode("Zm8").unwrap(), b"fo");
        for second in [
            "Zm8=", "Zm9", "Zm8 ", " Zm8", "Zm8\n", "Z\tm8", "Z+m8", "Z/m8", "Zm8é", "Z", "Zm8A=",
        ] {
            if second == "Zm9" {
                // The last bits differ: neither a second spelling of "fo" nor of anything else.
                assert_eq!(decode(second), Err(Error::NotBase64url));
                continue;
            }
            assert_eq!(decode(second), Err(Error::NotBase64url), "{second}");
        }
    }

    #[test]
    fn refuses_a_signature_of_another_length() {
        let mut out = [0; 32];
        assert_eq!(decode_into(&"A".repeat(43), &mut out), Ok(()));
        for (text, error) in [
            (String::new(), Error::Signature),
            ("A".repeat(42), Error::Signature),
            ("A".repeat(44), Error::Signature),
            ("A".repeat(45), Error::NotBase64url),
            ("?".repeat(44), Error::NotBase64url),
            ("A".repeat(42) + "B", Error::NotBase64url),
        ] {
            assert_eq!(decode_into(&text, &mut out), Err(error), "{text}");
        }
    }

    #[test]
    fn refuses_header_members_that_bring_a_key_or_change_the_reading() {
        for name in [
            "crit", "b64", "zip", "enc", "cty", "jwk", "jku", "x5u", "x5c",
        ] {
            for value in ["null", "[]", "\"\"", "false", "{}", r#"["exp"]"#] {
                let text = format!(r#"{{"alg":"HS256","{name}":{value}}}"#);
                assert_eq!(
                    Header::read(&text).unwrap_err(),
                    Error::HeaderMember(name),
                    "{text}"
                );
            }
        }
        let escaped = r#"{"alg":"HS256","\u0063rit":["b64"]}"#;
        assert_eq!(
            Header::read(escaped).unwrap_err(),
            Error::HeaderMember("crit")
        );
    }

    #[test]
    fn refuses_header_members_of_the_wrong_type_and_a_missing_alg() {
        for name in ["alg", "typ", "kid", "x5t", "x5t#S256", "url", "nonce"] {
            for value in ["null", "1", "[\"HS256\"]", "{}", "true"] {
                let alg = if name == "alg" {
                    ""
                } else {
                    r#""alg":"HS256","#
                };
                let text = format!(r#"{{{alg}"{name}":{value}}}"#);
                assert_eq!(
                    Header::read(&text).unwrap_err(),
                    Error::HeaderMember(name),
                    "{text}"
                );
            }
        }
        assert_eq!(
            Header::read(r#"{"typ":"JWT"}"#).unwrap_err(),
            Error::HeaderMember("alg")
        );
    }

    #[test]
    fn ignores_members_that_it_does_not_know() {
        let header = Header::read(r#"{"alg":"HS256","x5t":"abc","more":{"a":[1]}}"#).unwrap();
        assert_eq!(header.alg, "HS256");
        assert!(header.typ.is_none() && header.kid.is_none());
    }
}
