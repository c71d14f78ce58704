//! A request's head, read strictly: each header that counts at most once, and none that changes the
//! meaning of what was signed.

use http::header::HeaderValue;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Uri, request};

use crate::component::Components;
use crate::error::SIGNATURE;
use crate::text::Decimal;
use crate::{Component, Error};

/// A head, received or about to be sent.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "not to be named from outside, and what it holds is not for logs"
)]
pub struct Sent<'a> {
    method: &'a Method,
    uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> Sent<'a> {
    pub(crate) fn of_parts(parts: &'a request::Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
        }
    }

    pub(crate) fn of_request<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
        }
    }
}

/// The parts of a head that a scheme covers, as they came; what it leaves out is not kept.
#[derive(Clone)]
#[expect(
    missing_debug_implementations,
    reason = "not to be named from outside, and what it holds is not for logs"
)]
pub struct Head {
    method: Option<Method>,
    authority: Option<String>,
    target: Option<PathAndQuery>,
    /// What stands for the query where the scheme orders it.
    query: Option<String>,
    content_type: Option<HeaderValue>,
    covers: Components,
}

impl Head {
    pub(crate) fn of(
        sent: Sent<'_>,
        headers: &Headers<'_>,
        covers: Components,
    ) -> Result<Self, Error> {
        let needed = |component| covers.has(component);
        let host = host(sent.uri, headers.host)?;
        let authority = match host {
            Some(host) if needed(Component::Authority) => Some(host.to_ascii_lowercase()),
            None if needed(Component::Authority) => return Err(Error::Authority),
            _ => None,
        };
        let target = target(sent.uri, sent.method)?;
        let target_needed = needed(Component::Path) || needed(Component::Query);
        let content_type = headers
            .content_type
            .filter(|_| needed(Component::ContentType));
        let plain = |value: &HeaderValue| {
            value.len() <= MAX_CONTENT_TYPE
                && value
                    .as_bytes()
                    .iter()
                    .all(|byte| matches!(byte, b' '..=b'~'))
        };
        if !content_type.is_none_or(plain) {
            return Err(Error::Malformed("content-type"));
        }
        Ok(Self {
            method: needed(Component::Method).then(|| sent.method.clone()),
            authority,
            target: target.filter(|_| target_needed).cloned(),
            query: None,
            content_type: content_type.cloned(),
            covers,
        })
    }

    /// The query, reordered as the scheme signs it.
    pub(crate) fn with_query(mut self, query: Option<String>) -> Self {
        self.query = query;
        self
    }

    pub(crate) fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    pub(crate) fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    pub(crate) fn path(&self) -> Option<&str> {
        let path = self.target.as_ref().map_or("/", PathAndQuery::path);
        self.covers.has(Component::Path).then_some(path)
    }

    /// From the question mark on, or nothing.
    pub(crate) fn query(&self) -> Option<&str> {
        let sent = self.target.as_ref().map_or("", PathAndQuery::as_str);
        let (path, _) = sent.split_once('?').unwrap_or((sent, ""));
        let as_sent = sent.get(path.len()..).unwrap_or_default();
        let query = self.query.as_deref().unwrap_or(as_sent);
        self.covers.has(Component::Query).then_some(query)
    }

    pub(crate) fn content_type(&self) -> Option<&str> {
        let value = self.content_type.as_ref();
        let text = value.map_or("", |value| value.to_str().unwrap_or_default());
        self.covers.has(Component::ContentType).then_some(text)
    }
}

/// The host that a request names, if it names one: in its target, in its `Host`, or the same in both
/// (RFC 9112 §3.2.2, RFC 9113 §8.3.1).
fn host<'a>(uri: &'a Uri, header: Option<&'a HeaderValue>) -> Result<Option<&'a str>, Error> {
    let header = header.map(|value| value.to_str().map_err(|_| Error::Authority));
    let header = header.transpose()?;
    let named = match (uri.authority().map(|of| of.as_str()), header) {
        (Some(target), Some(header)) if !target.eq_ignore_ascii_case(header) => {
            return Err(Error::Authority);
        }
        (target, header) => target.or(header),
    };
    if named.is_some_and(|name| !is_host(name)) {
        return Err(Error::Authority);
    }
    Ok(named)
}

/// A name or an address and perhaps a port: no user, no list, nothing encoded.
pub(crate) fn is_host(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (1..=MAX_HOST).contains(&text.len()) && text.bytes().all(known)
}

/// The path and query, if the target has one that a handler is found by.
fn target<'a>(uri: &'a Uri, method: &Method) -> Result<Option<&'a PathAndQuery>, Error> {
    let target = uri.path_and_query();
    let long = target.is_some_and(|target| target.as_str().len() > MAX_TARGET);
    // Of a tunnel there is nothing to sign but its end.
    if long || *method == Method::CONNECT {
        return Err(Error::Malformed("target"));
    }
    Ok(target)
}

/// The headers that count, each there at most once.
#[derive(Default)]
#[expect(
    missing_debug_implementations,
    reason = "not to be named from outside, and what it holds is not for logs"
)]
pub struct Headers<'a> {
    pub(crate) signature: Option<&'a HeaderValue>,
    pub(crate) timestamp: Option<&'a HeaderValue>,
    pub(crate) nonce: Option<&'a HeaderValue>,
    pub(crate) key_id: Option<&'a HeaderValue>,
    pub(crate) api_key: Option<&'a HeaderValue>,
    host: Option<&'a HeaderValue>,
    content_type: Option<&'a HeaderValue>,
    content_length: Option<&'a HeaderValue>,
    /// What is wrong with them; told once it is known that the request is signed.
    wrong: Option<Error>,
}

impl<'a> Headers<'a> {
    /// Of a request that says it is signed.
    pub(crate) fn of_signed(map: &'a HeaderMap) -> Result<Self, Error> {
        let headers = Self::read(map);
        match (headers.signature, headers.wrong) {
            (None, _) => Err(Error::Missing(SIGNATURE)),
            (Some(_), Some(wrong)) => Err(wrong),
            (Some(_), None) => Ok(Self {
                wrong: None,
                ..headers
            }),
        }
    }

    /// Of a request that is about to be signed.
    pub(crate) fn of_unsigned(map: &'a HeaderMap) -> Result<Self, Error> {
        let headers = Self::read(map);
        match headers.wrong {
            Some(wrong) => Err(wrong),
            None => Ok(Self {
                wrong: None,
                ..headers
            }),
        }
    }

    fn read(map: &'a HeaderMap) -> Self {
        let mut headers = Self::default();
        for (name, value) in map {
            let (slot, name) = match name.as_str() {
                SIGNATURE => (&mut headers.signature, SIGNATURE),
                TIMESTAMP => (&mut headers.timestamp, TIMESTAMP),
                NONCE => (&mut headers.nonce, NONCE),
                KEY_ID => (&mut headers.key_id, KEY_ID),
                API_KEY => (&mut headers.api_key, API_KEY),
                HOST => (&mut headers.host, HOST),
                CONTENT_TYPE => (&mut headers.content_type, CONTENT_TYPE),
                CONTENT_LENGTH => (&mut headers.content_length, CONTENT_LENGTH),
                other => {
                    let refused = REFUSED.iter().find(|refused| **refused == other);
                    if let Some(refused) = refused {
                        headers.wrong.get_or_insert(Error::HeaderRefused(refused));
                    }
                    continue;
                }
            };
            if slot.replace(value).is_some() {
                headers.wrong.get_or_insert(Error::Duplicate(name));
            }
        }
        headers
    }

    /// What the body is said to have, before any of it is read.
    pub(crate) fn content_length(&self) -> Result<Option<u64>, Error> {
        let length = self.content_length.map(|value| {
            let length = Decimal::parse(value.as_bytes(), 19);
            length.ok_or(Error::Malformed(CONTENT_LENGTH))
        });
        length.transpose()
    }
}

pub(crate) const TIMESTAMP: &str = "x-timestamp";
pub(crate) const NONCE: &str = "x-nonce";
pub(crate) const KEY_ID: &str = "x-key-id";
pub(crate) const API_KEY: &str = "x-api-key";
const HOST: &str = "host";
const CONTENT_TYPE: &str = "content-type";
const CONTENT_LENGTH: &str = "content-length";
/// Headers that make another request of the one that was signed: another method, another body.
const REFUSED: &[&str] = &[
    "content-encoding",
    "trailer",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];
/// Twice what a recipient should take at least (RFC 9110 §4.1).
const MAX_TARGET: usize = 16 * 1024;
/// The longest name in the DNS, and a port.
const MAX_HOST: usize = 261;
const MAX_CONTENT_TYPE: usize = 256;
