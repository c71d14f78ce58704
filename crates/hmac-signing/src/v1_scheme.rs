//! The scheme that covers everything there is.

use std::sync::Arc;

use http::Method;

use crate::component::Components;
use crate::head::{Head, Headers, KEY_ID, Sent};
use crate::scheme::{Carriage, Definition, Joined, KeyCarriage, Said, Scheme, Sink};
use crate::{Component, Error, v1};

/// The format of this crate, which covers every [`Component`]: the one to take where both ends are free
/// to choose.
///
/// The signed bytes are those of [`v1::encode`]. `X-Signature: v1=` and 64 lower-case hexadecimal digits,
/// `X-Timestamp`, `X-Nonce` (16 to 64 letters, digits, `-` and `_`) and `X-Key-Id` carry the rest.
#[derive(Clone, Debug)]
pub struct V1 {
    audience: Arc<str>,
}

impl V1 {
    /// For the service that calls itself `audience`: 1 to 255 printable ASCII characters that both ends
    /// know and nobody sends. A request signed for one service is none for another.
    ///
    /// # Errors
    /// [`Error::Policy`].
    pub fn new(audience: &str) -> Result<Self, Error> {
        let printable = audience.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !(1..=255).contains(&audience.len()) || !printable {
            return Err(Error::Policy(
                "an audience has 1 to 255 printable ASCII characters",
            ));
        }
        Ok(Self {
            audience: audience.into(),
        })
    }
}

impl Scheme for V1 {}

impl Definition for V1 {
    fn covers(&self) -> Components {
        Components::of(Component::ALL)
    }

    fn carriage(&self) -> Carriage {
        Carriage {
            prefix: "v1=",
            key: KeyCarriage::Header(KEY_ID),
            nonce: true,
        }
    }

    fn head(&self, sent: Sent<'_>, headers: &Headers<'_>) -> Result<Head, Error> {
        Head::of(sent, headers, self.covers())
    }

    fn feed<S: Sink>(&self, said: &Said<'_>, sink: &mut S) {
        let head = said.head;
        let fields = v1::Fields {
            audience: self.audience.as_bytes(),
            method: head.method().map_or("", Method::as_str).as_bytes(),
            authority: head.authority().unwrap_or_default().as_bytes(),
            path: head.path().unwrap_or_default().as_bytes(),
            query: head.query().unwrap_or_default().as_bytes(),
            content_type: head.content_type().unwrap_or_default().as_bytes(),
            body_digest: said.body_digest(),
            timestamp: said.timestamp.as_bytes(),
            nonce: said.nonce,
            key_id: said.key_id,
        };
        let mut joined = Joined::new(sink);
        v1::feed(&fields, &mut joined);
        joined.finish();
    }
}
