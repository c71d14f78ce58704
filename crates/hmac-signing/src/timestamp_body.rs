//! Timestamp, a full stop, body: the form that most webhooks have.

use crate::component::Components;
use crate::head::{Head, Headers, KEY_ID, Sent};
use crate::scheme::{Carriage, Definition, KeyCarriage, Said, Scheme, Sink};
use crate::{Component, Error, KeyId};

/// Signs `timestamp "." body`, and nothing else of the request.
///
/// `X-Signature: sha256=` and 64 lower-case hexadecimal digits, and `X-Timestamp` carry it. Method, path,
/// query and host are not covered: whoever sees a request can send its body to another path of the same
/// service within its time. So use it for one path, whose handler reads the body alone.
///
/// There is no nonce. What is remembered is the MAC itself, so two requests with the same body within
/// the same second are one, and the second is refused as a replay.
#[derive(Clone, Debug)]
pub struct TimestampBody {
    sender: Option<KeyId>,
}

impl TimestampBody {
    /// Everything comes from one known sender.
    #[must_use]
    pub const fn from(sender: KeyId) -> Self {
        Self {
            sender: Some(sender),
        }
    }

    /// `X-Key-Id` says whose key is meant. It is not signed, and need not be: it only chooses the key
    /// that the MAC must then be of.
    #[must_use]
    pub const fn named_by_header() -> Self {
        Self { sender: None }
    }
}

impl Scheme for TimestampBody {}

impl Definition for TimestampBody {
    fn covers(&self) -> Components {
        Components::of(&[Component::Body])
    }

    fn carriage(&self) -> Carriage {
        Carriage {
            prefix: "sha256=",
            key: self
                .sender
                .map_or(KeyCarriage::Header(KEY_ID), KeyCarriage::Known),
            nonce: false,
        }
    }

    fn head(&self, sent: Sent<'_>, headers: &Headers<'_>) -> Result<Head, Error> {
        Head::of(sent, headers, self.covers())
    }

    fn feed<S: Sink>(&self, said: &Said<'_>, sink: &mut S) {
        // Digits hold no full stop, so the first one ends the timestamp.
        sink.put(said.timestamp.as_bytes());
        sink.put(b".");
        sink.put(said.body);
    }
}
