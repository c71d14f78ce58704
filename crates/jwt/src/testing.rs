//! Forged tokens for tests, and the bodies of the fuzz targets.

#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
mod private_key;
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
mod rsa;

use data_encoding::BASE64URL_NOPAD;
use portcullis_core::{Secret, Timestamp};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::parse::{self, Compact, Header};
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
pub use private_key::fuzz_rsa_private_key_pem;
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
pub use rsa::{
    check_rsa, forge_rsa, forge_segments_rsa, fuzz_client_assertion, fuzz_rsa_public_key_pem,
    rsa_key_of_any_id, rsa_public_pem,
};

use crate::{AccessToken, Error, HmacKey, KeySet, Policy, Scratch, Verifier, VerifyingKey};

/// A token with whatever header and payload a test wants, signed by `key` with HS256.
#[must_use]
pub fn forge(key: &HmacKey, header: &[u8], payload: &[u8]) -> String {
    let (header, payload) = (
        BASE64URL_NOPAD.encode(header),
        BASE64URL_NOPAD.encode(payload),
    );
    forge_segments(key, &header, &payload)
}

/// A token of two segments as they stand, base64url or not, signed by `key` with HS256.
#[must_use]
pub fn forge_segments(key: &HmacKey, header: &str, payload: &str) -> String {
    let mut token = format!("{header}.{payload}");
    let tag = key.sign(token.as_bytes());
    token.push('.');
    BASE64URL_NOPAD.encode_append(&tag, &mut token);
    token
}

/// A key of any secret at all, for vectors whose secret no service may use.
#[must_use]
pub fn weak_key(kid: &str, secret: &[u8]) -> HmacKey {
    HmacKey::unchecked(kid, secret)
}

/// The payload of a JWS that `key` signed, for vectors whose payload is no set of claims: segments,
/// header, `kid`, `alg` and signature are checked as a verifier does, and nothing else.
///
/// # Errors
/// Those of [`Verifier::verify`] up to the signature.
pub fn check_signature(key: impl Into<VerifyingKey>, token: &str) -> Result<Vec<u8>, Error> {
    let key = key.into();
    let compact = Compact::split(token, 8192)?;
    let bytes = parse::decode(compact.header)?;
    let header = Header::read(parse::utf8(&bytes).map_err(Error::HeaderJson)?)?;
    if header.kid.is_some_and(|kid| kid != key.kid()) {
        return Err(Error::KeyUnknown);
    }
    if header.alg != key.algorithm().as_str() {
        return Err(Error::Algorithm);
    }
    key.check(compact.signed.as_bytes(), compact.signature)?;
    parse::decode(compact.payload)
}

/// The body of the fuzz target `jwt_token`: the first byte says whether the rest is a token as it stands
/// or what the key is to sign. To be signed, two bytes are a place and one is what is put there; then
/// come a header and a payload, parted by a line break; or their segments, parted by a dot; or changes to
/// a good payload, one a line. Without the mark that parts them, all is payload, under a good header.
///
/// A token that is accepted is the only spelling of its segments, says what another reader finds in it,
/// and is still accepted with its header remembered; the borrowed form says the same. With another
/// character anywhere it is refused, and with another signature before its payload is looked at.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_jwt_token(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else {
        return;
    };
    let stage = Stage::new();
    if mode % 4 == 0 {
        if let Ok(token) = std::str::from_utf8(rest) {
            let _ = stage.read(token);
        }
        return;
    }
    let Some(([high, low, to], parts)) = rest.split_first_chunk() else {
        return;
    };
    let token = match mode % 4 {
        1 => signed_bytes(&stage.key, parts),
        2 => signed_segments(&stage.key, &String::from_utf8_lossy(parts)),
        _ => forge(&stage.key, HEADER, changed_claims(parts).as_bytes()),
    };
    let refused = stage.read(&token).err();
    let at = usize::from(u16::from_be_bytes([*high, *low]));
    stage.change_signature(&token, at, *to, refused);
    stage.change_character(&token, at, *to);
}

fn signed_bytes(key: &HmacKey, parts: &[u8]) -> String {
    let mut parts = parts.splitn(2, |byte| *byte == b'\n');
    match (parts.next(), parts.next()) {
        (Some(header), Some(payload)) => forge(key, header, payload),
        (payload, _) => forge(key, HEADER, payload.unwrap_or_default()),
    }
}

fn signed_segments(key: &HmacKey, parts: &str) -> String {
    match parts.split_once('.') {
        Some((header, payload)) => forge_segments(key, header, payload),
        None => forge_segments(key, &BASE64URL_NOPAD.encode(HEADER), parts),
    }
}

/// The good payload but for the claims that lines tell: a byte for the name and then the value, as it
/// stands where that is JSON and as a text where not. Without a value, the claim is gone.
fn changed_claims(lines: &[u8]) -> String {
    let (iss, aud) = (format!("\"{ISSUER}\""), format!("\"{AUDIENCE}\""));
    let mut members = CLAIMS.map(|name| match name {
        "iss" => iss.clone(),
        "aud" => aud.clone(),
        "iat" => "1700000000".to_owned(),
        "exp" => "1700003600".to_owned(),
        "sub" | "jti" => "\"x\"".to_owned(),
        _ => String::new(),
    });
    for line in lines.split(|byte| *byte == b'\n') {
        let Some((name, value)) = line.split_first() else {
            continue;
        };
        let value = String::from_utf8_lossy(value);
        let stands = value.is_empty() || serde_json::from_str::<IgnoredAny>(&value).is_ok();
        if let Some(member) = members.get_mut(usize::from(name % 9)) {
            *member = match stands {
                true => value.into_owned(),
                false => Value::from(value).to_string(),
            };
        }
    }
    let members = CLAIMS.iter().zip(&members);
    let members = members.filter(|(_, value)| !value.is_empty());
    let members: Vec<_> = members
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// The body of the fuzz target `jwt_header`: with any header at all, what is accepted says the key's
/// algorithm and the policy's kind, once, and nothing critical.
///
/// # Panics
/// When it does not.
pub fn fuzz_jwt_header(data: &[u8]) {
    let stage = Stage::new();
    let token = forge(&stage.key, data, PAYLOAD);
    if stage.verify(&token).is_err() {
        return;
    }
    let header: Map<String, Value> = serde_json::from_slice(data).unwrap_or_default();
    let text = |name: &str| {
        header
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_ascii_lowercase)
    };
    assert_eq!(
        text("alg").as_deref(),
        Some("hs256"),
        "the token chose an algorithm"
    );
    assert!(
        text("typ").is_some_and(|typ| typ.ends_with("at+jwt")),
        "another kind was accepted"
    );
    assert!(
        !header.contains_key("crit"),
        "something critical was not understood"
    );
}

/// The body of the fuzz target `jwt_claims`: with any payload at all, what is accepted says what the
/// policy asks for when read by another reader.
///
/// # Panics
/// When it does not.
pub fn fuzz_jwt_claims(data: &[u8]) {
    let stage = Stage::new();
    let token = forge(&stage.key, HEADER, data);
    let Ok(accepted) = stage.verify(&token) else {
        return;
    };
    let claims = accepted.claims();
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    assert_eq!(text("iss"), Some(ISSUER), "another issuer was accepted");
    let audiences = claims.get("aud").map(|aud| match aud {
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    });
    let for_us = audiences.is_some_and(|many| many.contains(&AUDIENCE));
    assert!(for_us, "another audience was accepted");
    let date = |name: &str| claims.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let leeway_secs = 60.0;
    assert!(
        date("exp") + leeway_secs > NOW_SECS,
        "an expired token was accepted"
    );
    assert!(
        date("iat") <= NOW_SECS + leeway_secs,
        "a token from the future was accepted"
    );
    // 3600, and a second for the fractions of both dates.
    assert!(
        date("exp") - date("iat") < 3601.0,
        "too long a life was accepted"
    );
}

struct Stage {
    key: HmacKey,
    verifier: Verifier,
}

impl Stage {
    #[expect(
        clippy::expect_used,
        reason = "the texts are constants, and a fuzz body may panic"
    )]
    fn new() -> Self {
        let secret = Secret::from(b"a secret of the fuzz targets, 32+".as_slice());
        let key = HmacKey::new("fuzz", secret).expect("a good key");
        let policy = Policy::access(ISSUER, AUDIENCE).expect("a good policy");
        let verifier = Verifier::new(&KeySet::new(key.clone()), policy);
        Self { key, verifier }
    }

    fn verify(&self, token: &str) -> Result<AccessToken<Map<String, Value>>, Error> {
        self.verifier.verify(token, NOW)
    }

    /// Reads a token twice and in both forms, and looks again at what is accepted.
    fn read(&self, token: &str) -> Result<AccessToken<Map<String, Value>>, Error> {
        let first = self.verify(token);
        assert_eq!(
            first,
            self.verify(token),
            "two readings of one token differ"
        );
        self.compare_borrowed(token, &first);
        if let Ok(accepted) = &first {
            for segment in token.split('.') {
                let bytes = parse::decode(segment).unwrap_or_default();
                assert_eq!(
                    BASE64URL_NOPAD.encode(&bytes),
                    segment,
                    "a second spelling was accepted"
                );
            }
            look_again(accepted);
        }
        first
    }

    /// Only a token's form and its header are judged before a signature that is another.
    fn change_signature(&self, token: &str, at: usize, by: u8, refused: Option<Error>) {
        let Some((signed, _)) = token.rsplit_once('.') else {
            return;
        };
        let mut tag = self.key.sign(signed.as_bytes());
        if let Some(byte) = tag.get_mut(at % 32) {
            *byte ^= by.max(1);
        }
        let changed = format!("{signed}.{}", BASE64URL_NOPAD.encode(&tag));
        let wanted = match refused {
            Some(form @ (Error::TooLong | Error::NotCompact)) => form,
            _ => {
                let header = signed.split('.').next().unwrap_or_default();
                let good = forge_segments(&self.key, header, &BASE64URL_NOPAD.encode(PAYLOAD));
                self.verify(&good).err().unwrap_or(Error::Signature)
            }
        };
        assert_eq!(
            self.read(&changed),
            Err(wanted),
            "another signature, at byte {at}"
        );
    }

    fn change_character(&self, token: &str, at: usize, to: u8) {
        let mut changed = token.as_bytes().to_vec();
        let place = at.checked_rem(changed.len()).unwrap_or_default();
        if let Some(byte) = changed.get_mut(place) {
            let to = to & 0x7f;
            *byte = if *byte == to { to ^ 1 } else { to };
        }
        let changed = String::from_utf8_lossy(&changed);
        assert!(
            self.read(&changed).is_err(),
            "another character was accepted"
        );
    }

    fn compare_borrowed(
        &self,
        token: &str,
        owned: &Result<AccessToken<Map<String, Value>>, Error>,
    ) {
        let mut scratch = Scratch::new();
        let borrowed =
            self.verifier
                .verify_borrowed::<Map<String, Value>>(token, &mut scratch, NOW);
        let agreed = match (owned, &borrowed) {
            (Err(owned), Err(borrowed)) => owned == borrowed,
            (Ok(owned), Ok(borrowed)) => {
                let (ours, theirs) = (owned.registered(), borrowed.registered());
                owned.claims() == borrowed.claims()
                    && (&*ours.iss, &*ours.aud) == (theirs.iss, theirs.aud)
                    && (&*ours.sub, &*ours.jti) == (&*theirs.sub, &*theirs.jti)
                    && ours.sid.as_deref() == theirs.sid.as_deref()
                    && (ours.iat, ours.exp) == (theirs.iat, theirs.exp)
            }
            _ => false,
        };
        assert!(agreed, "the owned and the borrowed form differ");
    }
}

/// The registered claims are those that another reader finds in the payload.
fn look_again(accepted: &AccessToken<Map<String, Value>>) {
    let (registered, claims) = (accepted.registered(), accepted.claims());
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    assert_eq!(text("iss"), Some(&*registered.iss));
    assert_eq!(text("jti"), Some(&*registered.jti));
    assert_eq!(text("sid"), registered.sid.as_deref());
    let number = claims.get("sub").and_then(Value::as_u64);
    let subject = number.map(|number| number.to_string());
    let subject = subject.as_deref().or_else(|| text("sub"));
    assert_eq!(subject, Some(&*registered.sub), "another subject");
    for (name, read) in [("iat", registered.iat), ("exp", registered.exp)] {
        let date = claims.get(name).and_then(Value::as_f64);
        let cut = date.map(|date| date - read.as_unix_secs() as f64);
        // One, where the other reader rounds up what ours cuts off.
        assert!(
            cut.is_some_and(|cut| (0.0..=1.0).contains(&cut)),
            "another {name}"
        );
    }
}

const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "orders";
const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const NOW_SECS: f64 = 1_700_000_000.0;
const CLAIMS: [&str; 9] = [
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "role",
];
const HEADER: &[u8] = br#"{"alg":"HS256","kid":"fuzz","typ":"at+jwt"}"#;
const PAYLOAD: &[u8] = br#"{"iss":"https://login.example","aud":"orders","sub":"42","iat":1700000000,"exp":1700003600,"jti":"x"}"#;
