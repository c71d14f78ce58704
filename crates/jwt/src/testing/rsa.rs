//! The same for RSA keys and the assertions that they sign.

use std::sync::OnceLock;

use data_encoding::BASE64URL_NOPAD;
use portcullis_core::{Secret, Timestamp};
use serde_json::{Map, Value};

use crate::der::Numbers;
use crate::{AssertionPolicy, Assertions, Error, RsaPrivateKey, RsaPublicKey, VerifyingKey, pem};

/// A token with whatever header and payload a test wants, signed by `key` with RS256.
///
/// # Panics
/// When the key fails to sign.
#[must_use]
pub fn forge_rsa(key: &RsaPrivateKey, header: &[u8], payload: &[u8]) -> String {
    let (header, payload) = (
        BASE64URL_NOPAD.encode(header),
        BASE64URL_NOPAD.encode(payload),
    );
    forge_segments_rsa(key, &header, &payload)
}

/// A token of two segments as they stand, base64url or not, signed by `key` with RS256.
///
/// # Panics
/// When the key fails to sign.
#[must_use]
#[expect(clippy::expect_used, reason = "a test's key signs")]
pub fn forge_segments_rsa(key: &RsaPrivateKey, header: &str, payload: &str) -> String {
    let mut token = format!("{header}.{payload}");
    key.append(&mut token).expect("a key that signs");
    token
}

/// Whether `signature` is the key's for `message`, without a token around it.
#[must_use]
pub fn check_rsa(key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> bool {
    key.check(message, &BASE64URL_NOPAD.encode(signature))
        .is_ok()
}

/// A key under any id at all, for vectors whose id no service may use.
#[must_use]
pub fn rsa_key_of_any_id(kid: &str, key: RsaPublicKey) -> VerifyingKey {
    VerifyingKey::rsa_unchecked(kid, key)
}

/// A `PUBLIC KEY` block of any two numbers at all, neither of which begins with a zero byte.
#[must_use]
pub fn rsa_public_pem(modulus: &[u8], exponent: &[u8]) -> String {
    pem::write("PUBLIC KEY", &Numbers { modulus, exponent }.spki())
}

/// The body of the fuzz target `rsa_public_key_pem`: a key that is read is within the bounds, and
/// written and read again it is the same.
///
/// # Panics
/// When it is not.
pub fn fuzz_rsa_public_key_pem(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(key) = RsaPublicKey::from_pem(text) else {
        return;
    };
    assert!((2048..=4096).contains(&key.bits()), "a key out of bounds");
    let written = key.to_spki_pem();
    let again = RsaPublicKey::from_pem(&written);
    assert_eq!(again.as_ref(), Ok(&key), "a key that changed");
    let packed = |text: &str| text.split_ascii_whitespace().collect::<String>();
    // With its dashes, which no base64 has: the words alone may stand in a key.
    if text.contains("-----BEGIN PUBLIC KEY-----") {
        assert_eq!(packed(text), packed(&written), "a second spelling was read");
    }
}

/// The body of the fuzz target `client_assertion`: the bytes as a token, then as a header and a
/// payload, parted by a line break, of a token that is well signed. What is accepted says what it must
/// when read by another reader.
///
/// # Panics
/// When it does not.
pub fn fuzz_client_assertion(data: &[u8]) {
    let stage = Stage::get();
    if let Ok(token) = std::str::from_utf8(data) {
        let _ = stage.verify(token);
    }
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (Some(header), Some(payload)) = (parts.next(), parts.next()) else {
        return;
    };
    // Signing is a thousand times dearer than finding out that there is no need.
    let mut token = BASE64URL_NOPAD.encode(header);
    token.push('.');
    BASE64URL_NOPAD.encode_append(payload, &mut token);
    if stage.assertions.begin(&format!("{token}.")).is_err() {
        return;
    }
    if let Some(claims) = stage.verify(&forge_rsa(&stage.key, header, payload)) {
        look_again(header, &claims);
    }
}

fn look_again(header: &[u8], claims: &Map<String, Value>) {
    let header: Map<String, Value> = serde_json::from_slice(header).unwrap_or_default();
    let alg = header.get("alg").and_then(Value::as_str);
    assert_eq!(alg, Some("RS256"), "the token chose an algorithm");
    let typ = header.get("typ").map(|typ| typ.as_str().unwrap_or("?"));
    let typ = typ.map(str::to_ascii_lowercase);
    assert!(
        typ.is_none_or(|typ| typ.ends_with("jwt") && !typ.ends_with("at+jwt")),
        "another kind was accepted"
    );
    assert!(
        !header.contains_key("crit"),
        "something critical was not understood"
    );
    let issuer = claims.get("iss").and_then(Value::as_str);
    assert!(
        issuer.is_some_and(|issuer| !issuer.is_empty()),
        "an assertion of nobody was accepted"
    );
    let audiences = claims.get("aud").map(|aud| match aud {
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    });
    assert!(
        audiences.is_none_or(|many| many.contains(&AUDIENCE)),
        "another audience was accepted"
    );
    let date = |name: &str| claims.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let leeway_secs = 60.0;
    assert!(
        date("exp") + leeway_secs > NOW_SECS,
        "an expired assertion was accepted"
    );
    assert!(
        date("iat") <= NOW_SECS + leeway_secs,
        "an assertion from the future was accepted"
    );
    // 3600, and a second for the fractions of both dates.
    assert!(
        date("exp") - date("iat") < 3601.0,
        "too long a life was accepted"
    );
}

struct Stage {
    key: RsaPrivateKey,
    keys: [RsaPublicKey; 1],
    assertions: Assertions,
}

impl Stage {
    fn get() -> &'static Self {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        STAGE.get_or_init(Self::new)
    }

    #[expect(
        clippy::expect_used,
        reason = "the texts are constants, and a fuzz body may panic"
    )]
    fn new() -> Self {
        let pem = include_str!("../../tests/keys/alice.pkcs8.pem");
        let key = RsaPrivateKey::from_pem(Secret::from(pem.to_owned())).expect("a good key");
        let policy = AssertionPolicy::new(AUDIENCE).expect("a good policy");
        Self {
            keys: [key.public()],
            key,
            assertions: Assertions::new(policy),
        }
    }

    /// The claims of an assertion that is accepted, twice alike.
    fn verify(&self, token: &str) -> Option<Map<String, Value>> {
        let now = Timestamp::from_unix_secs(1_700_000_000);
        let once = || -> Result<_, Error> {
            let begun = self.assertions.begin(token)?;
            let issuer = begun.issuer().to_owned();
            let client = begun.verify::<Map<String, Value>>(&self.keys, now)?;
            assert_eq!(client.issuer(), issuer, "the issuer changed");
            Ok(client)
        };
        let first = once();
        assert_eq!(first, once(), "two readings of one assertion differ");
        first.ok().map(|client| client.into_parts().1)
    }
}

const AUDIENCE: &str = "https://api.example";
const NOW_SECS: f64 = 1_700_000_000.0;
