//! The signed bytes of [`V1`](crate::V1): written, and read back.
//!
//! A line that names the format, then ten fields, each as its length in decimal digits, a colon, its
//! bytes and a line feed. A length says where a field ends, so no content can move a boundary: different
//! fields never encode alike, whatever bytes they hold.
//!
//! ```
//! use portcullis_hmac_signing::v1;
//!
//! let fields = v1::Fields {
//!     audience: b"orders",
//!     method: b"GET",
//!     authority: b"api.example.com",
//!     path: b"/v1/orders",
//!     query: b"?page=2",
//!     content_type: b"",
//!     body_digest: b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
//!     timestamp: b"1700000000",
//!     nonce: b"8a4bI3kqR0mZ1f0c9wq2Vw",
//!     key_id: b"partner-7",
//! };
//! let bytes = v1::encode(&fields);
//! assert!(bytes.starts_with(b"portcullis-hmac-v1\n6:orders\n3:GET\n15:api.example.com\n"));
//! assert_eq!(v1::decode(&bytes)?, fields);
//! # Ok::<(), portcullis_hmac_signing::Error>(())
//! ```

use std::fmt;

use crate::Error;
use crate::scheme::Sink;
use crate::text::Decimal;

/// The ten fields, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fields<'a> {
    /// The service's own name, agreed beforehand and never sent.
    pub audience: &'a [u8],
    /// The method, as sent.
    pub method: &'a [u8],
    /// The host as sent, its letters lower case.
    pub authority: &'a [u8],
    /// The path as sent; `/` for none.
    pub path: &'a [u8],
    /// The target from the question mark on; empty if there is none.
    pub query: &'a [u8],
    /// The content type as sent; empty if there is none.
    pub content_type: &'a [u8],
    /// SHA-256 of the body, in lower-case hexadecimal.
    pub body_digest: &'a [u8],
    /// Seconds since 1970, in decimal digits.
    pub timestamp: &'a [u8],
    /// The sender's nonce.
    pub nonce: &'a [u8],
    /// Whose key it is.
    pub key_id: &'a [u8],
}

/// The bytes that are signed.
#[must_use]
pub fn encode(fields: &Fields<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    feed(fields, &mut bytes);
    bytes
}

/// The fields that were encoded as these bytes: what decodes encodes to the same bytes.
///
/// # Errors
/// [`Error::Malformed`].
pub fn decode(bytes: &[u8]) -> Result<Fields<'_>, Error> {
    fields_of(bytes).ok_or(Error::Malformed("signed bytes"))
}

fn fields_of(bytes: &[u8]) -> Option<Fields<'_>> {
    let mut rest = bytes.strip_prefix(FORMAT)?;
    let fields = Fields {
        audience: take(&mut rest)?,
        method: take(&mut rest)?,
        authority: take(&mut rest)?,
        path: take(&mut rest)?,
        query: take(&mut rest)?,
        content_type: take(&mut rest)?,
        body_digest: take(&mut rest)?,
        timestamp: take(&mut rest)?,
        nonce: take(&mut rest)?,
        key_id: take(&mut rest)?,
    };
    rest.is_empty().then_some(fields)
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let colon = rest.iter().take(21).position(|byte| *byte == b':')?;
    let (length, after) = rest.split_at_checked(colon)?;
    let length = usize::try_from(Decimal::parse(length, 20)?).ok()?;
    let (field, after) = after.get(1..)?.split_at_checked(length)?;
    *rest = after.strip_prefix(b"\n")?;
    Some(field)
}

/// The one place where the signed bytes come from.
pub(crate) fn feed(fields: &Fields<'_>, sink: &mut impl Sink) {
    sink.put(FORMAT);
    let in_order = [
        fields.audience,
        fields.method,
        fields.authority,
        fields.path,
        fields.query,
        fields.content_type,
        fields.body_digest,
        fields.timestamp,
        fields.nonce,
        fields.key_id,
    ];
    for field in in_order {
        sink.put(Decimal::of(u64::try_from(field.len()).unwrap_or(u64::MAX)).as_bytes());
        sink.put(b":");
        sink.put(field);
        sink.put(b"\n");
    }
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may hold what must not be logged.
        f.write_str("Fields(..)")
    }
}

const FORMAT: &[u8] = b"portcullis-hmac-v1\n";
