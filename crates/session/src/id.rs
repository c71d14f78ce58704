//! What a session is called.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use portcullis_core::{EntropyUnavailable, entropy};

/// A session's name: 128 random bits, written as 22 characters of base64url (RFC 4648 §5).
///
/// It goes into access tokens (`sid`), logs and audit records. It proves nothing: who knows it can
/// neither refresh nor end the session.
///
/// ```
/// use portcullis_session::SessionId;
///
/// let session: SessionId = "AAECAwQFBgcICQoLDA0ODw".parse()?;
/// assert_eq!(session.to_string(), "AAECAwQFBgcICQoLDA0ODw");
/// assert!("AAECAwQFBgcICQoLDA0ODx".parse::<SessionId>().is_err());
/// # Ok::<(), portcullis_session::SessionIdMalformed>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; Self::LEN]);

/// The text is not a session's name: 22 characters of base64url, in the one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session id is 22 characters of base64url")]
#[non_exhaustive]
pub struct SessionIdMalformed;

impl SessionId {
    pub(crate) const LEN: usize = 16;

    pub(crate) fn generate() -> Result<Self, EntropyUnavailable> {
        entropy().map(Self)
    }

    /// The name of those 16 bytes, for whoever kept [`SessionId::as_bytes`], such as in a cookie.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes behind the text.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for SessionId {
    type Err = SessionIdMalformed;

    fn from_str(text: &str) -> Result<Self, SessionIdMalformed> {
        // Checked first: a long text is not worth decoding.
        if text.len() != TEXT_LEN {
            return Err(SessionIdMalformed);
        }
        let bytes = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| SessionIdMalformed)?;
        bytes
            .as_slice()
            .try_into()
            .map(Self)
            .map_err(|_| SessionIdMalformed)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BASE64URL_NOPAD.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

const TEXT_LEN: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_names_a_session() {
        let session = SessionId::from_bytes([0xff; 16]);
        assert_eq!(session.to_string().parse(), Ok(session));
        for text in [
            "",
            "_____________________",
            "_______________________",
            "_____________________x",
            "______________________==",
            "/////////////////////w",
            " ____________________w",
        ] {
            assert_eq!(text.parse::<SessionId>(), Err(SessionIdMalformed), "{text}");
        }
    }
}
