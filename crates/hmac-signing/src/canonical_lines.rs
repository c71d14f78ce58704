//! Five lines: method, URL, sorted query, body, timestamp.

use std::sync::Arc;

use http::Method;

use crate::component::Components;
use crate::head::{API_KEY, Head, Headers, Sent, is_host};
use crate::scheme::{Carriage, Definition, KeyCarriage, Said, Scheme, Sink};
use crate::{Component, Error};

/// Signs `METHOD`, the URL, the sorted query, the body and the timestamp, joined by line feeds.
///
/// The URL is the service's origin and the path as sent, without the query. The sorted query is the raw
/// pieces between `&`, sorted by the bytes before their first `=`; pieces of one name keep their order.
/// The body is signed as it was sent: a client that signs compact JSON sends compact JSON. `X-API-Key`
/// names the key, `X-Signature` is 64 lower-case hexadecimal digits, and `X-Timestamp` stands beside.
///
/// Neither content type nor nonce is covered, nor in which order different names came in the query:
/// [`crate::SignedRequest::query`] has them sorted. What is remembered is the MAC, so two equal requests
/// within the same second are one, and the second is refused as a replay.
#[derive(Clone, Debug)]
pub struct CanonicalLines {
    origin: Arc<str>,
}

impl CanonicalLines {
    /// For the service at `origin`, such as `https://api.example.com`: scheme and host in lower case, a
    /// port if clients name one, no path. Requests that name another host are refused.
    ///
    /// # Errors
    /// [`Error::Policy`].
    pub fn new(origin: &str) -> Result<Self, Error> {
        let host = host_of(origin);
        let lower = !origin.bytes().any(|byte| byte.is_ascii_uppercase());
        if !lower || !host.is_some_and(is_host) {
            return Err(Error::Policy(
                "an origin is http:// or https:// and a host in lower case, without a path",
            ));
        }
        Ok(Self {
            origin: origin.into(),
        })
    }
}

fn host_of(origin: &str) -> Option<&str> {
    let secure = origin.strip_prefix("https://");
    secure.or_else(|| origin.strip_prefix("http://"))
}

impl Scheme for CanonicalLines {}

impl Definition for CanonicalLines {
    fn covers(&self) -> Components {
        Components::of(&[
            Component::Method,
            Component::Authority,
            Component::Path,
            Component::Query,
            Component::Body,
        ])
    }

    fn carriage(&self) -> Carriage {
        Carriage {
            prefix: "",
            key: KeyCarriage::Header(API_KEY),
            nonce: false,
        }
    }

    fn head(&self, sent: Sent<'_>, headers: &Headers<'_>) -> Result<Head, Error> {
        let head = Head::of(sent, headers, self.covers())?;
        if head.authority() != host_of(&self.origin) {
            return Err(Error::Authority);
        }
        let query = head.query().unwrap_or_default();
        // Signed, it would be no query.
        if query == "?" {
            return Err(Error::Malformed("query"));
        }
        let sorted = sorted(query);
        Ok(head.with_query(sorted))
    }

    fn feed<S: Sink>(&self, said: &Said<'_>, sink: &mut S) {
        // None of the first three lines holds a line feed and the timestamp is digits, so the body is
        // what stands between the third line feed and the last.
        let head = said.head;
        sink.put(head.method().map_or("", Method::as_str).as_bytes());
        sink.put(b"\n");
        sink.put(self.origin.as_bytes());
        sink.put(head.path().unwrap_or_default().as_bytes());
        sink.put(b"\n");
        let query = head.query().unwrap_or_default();
        sink.put(query.strip_prefix('?').unwrap_or(query).as_bytes());
        sink.put(b"\n");
        sink.put(said.body);
        sink.put(b"\n");
        sink.put(said.timestamp.as_bytes());
    }
}

/// The query with its pieces in order, if they are not already.
fn sorted(query: &str) -> Option<String> {
    let pieces = query.strip_prefix('?')?;
    if pieces.split('&').is_sorted_by_key(name) {
        return None;
    }
    let mut pieces: Vec<&str> = pieces.split('&').collect();
    // Stable: pieces of one name keep their order.
    pieces.sort_by(|one, other| name(one).cmp(name(other)));
    Some(format!("?{}", pieces.join("&")))
}

fn name(piece: &str) -> &str {
    piece.split('=').next().unwrap_or_default()
}
