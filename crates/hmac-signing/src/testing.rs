//! The bodies that the fuzz targets share with their replay.

mod acts;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use portcullis_core::{Next, Secret, Timestamp};

use crate::decide::Claim;
use crate::policy::Window;
use crate::state::{Count, Seen};
use crate::{
    CanonicalLines, Component, Error, KeyId, Policy, Scheme, Secrets, Signer, SigningKey,
    TimestampBody, V1, Verifier, v1,
};

pub use acts::fuzz_signed_request_acts;

/// The body of the fuzz target `signed_request_head`: of a head that is read, each header is in its one
/// spelling, and without the key nothing is believed; the same request, once signed, is, and not when
/// anything that is covered has changed.
///
/// The first byte chooses the scheme; then come, a line each, target, host, signature, timestamp, nonce,
/// key id, content type and any header more; the rest is the body.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_signed_request_head(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let lines = CanonicalLines::new("https://api.example.com").ok();
    match (choice % 3, V1::new("orders").ok(), lines) {
        (0, Some(scheme), _) => head_of(scheme, "v1=", "x-key-id", rest),
        (1, ..) => head_of(
            TimestampBody::named_by_header(),
            "sha256=",
            "x-key-id",
            rest,
        ),
        (2, _, Some(scheme)) => head_of(scheme, "", "x-api-key", rest),
        _ => {}
    }
}

fn head_of(scheme: impl Scheme, prefix: &str, key_header: &'static str, data: &[u8]) {
    let Some((request, body)) = request_of(key_header, data) else {
        return;
    };
    signed(&scheme, request.clone(), key_header, &body);
    unsigned(scheme, request, prefix, key_header, body);
}

fn request_of(key_header: &'static str, data: &[u8]) -> Option<(Request<()>, Bytes)> {
    let mut lines = data.splitn(9, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let mut request = Request::get(line()).body(()).ok()?;
    let named = [
        "host",
        "x-signature",
        "x-timestamp",
        "x-nonce",
        key_header,
        "content-type",
    ];
    for name in named {
        if let Ok(value) = HeaderValue::from_bytes(line()) {
            let name = HeaderName::from_static(name);
            request.headers_mut().append(name, value);
        }
    }
    if let Ok(name) = HeaderName::from_bytes(line()) {
        let value = HeaderValue::from_static("1");
        request.headers_mut().append(name, value);
    }
    Some((request, Bytes::copy_from_slice(line())))
}

/// As it came: whatever its signature is, nobody here made it.
fn unsigned(
    scheme: impl Scheme,
    request: Request<()>,
    prefix: &str,
    key_header: &'static str,
    body: Bytes,
) {
    let (head, ()) = request.into_parts();
    let Ok(verifier) = Verifier::new(scheme, Policy::requiring(&[Component::Body])) else {
        return;
    };
    let Ok(begun) = verifier.begin(&head, NOW) else {
        return;
    };
    let text = |name: &str| {
        let mut values = head.headers.get_all(name).iter();
        let first = values.next().and_then(|value| value.to_str().ok());
        assert!(values.next().is_none(), "one {name}");
        first.unwrap_or_default()
    };
    let digits = text("x-signature").strip_prefix(prefix).unwrap_or_default();
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    assert!(digits.len() == 64 && digits.bytes().all(hexadecimal));
    let timestamp = text("x-timestamp");
    let number: u64 = timestamp.parse().unwrap_or_default();
    assert_eq!(number.to_string(), timestamp);
    assert_eq!(KeyId::parse(text(key_header)).as_ref(), Ok(begun.key_id()));
    let unknown = begun.clone().verify(None, body.clone(), NOW).err();
    assert_eq!(unknown, Some(Error::KeyUnknown));
    if let Some(secrets) = secrets() {
        let forged = begun.verify(Some(&secrets), body, NOW).err();
        assert_eq!(forged, Some(Error::Signature));
    }
}

/// Signed anew, under the key that its header names if it names one.
fn signed(scheme: &impl Scheme, request: Request<()>, key_header: &'static str, body: &Bytes) {
    let mut request = request.map(|()| body.clone());
    let headers = request.headers_mut();
    let named = headers.remove(key_header);
    let named = named.and_then(|value| KeyId::parse(value.to_str().ok()?).ok());
    for name in ["x-signature", "x-timestamp", "x-nonce"] {
        headers.remove(name);
    }
    let verifier = Verifier::new(scheme.clone(), Policy::requiring(&[Component::Body]));
    let (Ok(verifier), Some(key), Some(secrets)) = (verifier, key(), secrets()) else {
        return;
    };
    let Some(key_id) = named.or_else(|| KeyId::parse("partner-7").ok()) else {
        return;
    };
    let signer = Signer::new(scheme.clone(), key_id, key);
    if signer.sign_with(&mut request, [5; 16], NOW).is_err() {
        return;
    }
    let judged = |request: &Request<Bytes>| {
        let (head, body) = request.clone().into_parts();
        let begun = verifier.begin(&head, NOW);
        begun.and_then(|begun| begun.verify(Some(&secrets), body, NOW))
    };
    assert_eq!(judged(&request).err(), None, "signed, and refused");
    for changed in changes(scheme, &request, key_header) {
        assert!(judged(&changed).is_err(), "another request is accepted");
    }
}

/// The request with one thing changed that the scheme covers, in each way there is.
fn changes(
    scheme: &impl Scheme,
    request: &Request<Bytes>,
    key_header: &'static str,
) -> Vec<Request<Bytes>> {
    let mut all = Vec::new();
    let covers = scheme.covers();
    let mut longer = request.body().to_vec();
    longer.push(b'x');
    all.push(request.clone().map(|_| Bytes::from(longer)));
    let mut with = |name, value| {
        let mut changed = request.clone();
        let value = HeaderValue::from_static(value);
        changed.headers_mut().insert(name, value);
        all.push(changed);
    };
    with("x-timestamp", "1699999999");
    if scheme.carriage().nonce {
        with("x-nonce", "AAAAAAAAAAAAAAAAAAAAAA");
        with(key_header, "partner-of-nobody");
    }
    if covers.has(Component::ContentType) {
        with("content-type", "text/of-nobody");
    }
    if covers.has(Component::Method) {
        let mut changed = request.clone();
        *changed.method_mut() = http::Method::DELETE;
        all.push(changed);
    }
    if covers.has(Component::Authority) {
        all.extend(of_another_host(request));
    }
    if covers.has(Component::Path) {
        all.extend(to_another(request, |path, query| format!("{path}x{query}")));
    }
    if covers.has(Component::Query) {
        all.extend(to_another(request, |path, query| {
            let mark = if query.is_empty() { "?" } else { "" };
            format!("{path}{query}{mark}x")
        }));
    }
    all
}

/// The request to another host, wherever it names one: in its header, in its target, or in both.
fn of_another_host(request: &Request<Bytes>) -> Option<Request<Bytes>> {
    let mut changed = request.clone();
    if let Some(host) = changed.headers_mut().get_mut("host") {
        *host = HeaderValue::try_from(format!("x{}", host.to_str().ok()?)).ok()?;
    }
    let mut target = changed.uri().clone().into_parts();
    if let Some(host) = target.authority {
        target.authority = Some(format!("x{host}").parse().ok()?);
        *changed.uri_mut() = Uri::from_parts(target).ok()?;
    }
    Some(changed)
}

/// The request with what becomes of its path and of its query, which begins with its question mark.
fn to_another(
    request: &Request<Bytes>,
    target_of: impl Fn(&str, &str) -> String,
) -> Option<Request<Bytes>> {
    let mut target = request.uri().clone().into_parts();
    let sent = target.path_and_query?;
    let query = sent.as_str().split_once('?');
    let query = query.map_or_else(String::new, |(_, query)| format!("?{query}"));
    let other = target_of(sent.path(), &query);
    target.path_and_query = Some(other.parse().ok()?);
    let mut changed = request.clone();
    *changed.uri_mut() = Uri::from_parts(target).ok()?;
    Some(changed)
}

/// Of a secret that the corpus does not know.
fn secrets() -> Option<Secrets> {
    key().map(Secrets::new)
}

fn key() -> Option<SigningKey> {
    let bytes: Vec<u8> = (100..132).collect();
    SigningKey::new(Secret::from(bytes)).ok()
}

/// The body of the fuzz target `v1_fields`: what decodes encodes to the same bytes, and nothing less or
/// more of it decodes.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_v1_fields(data: &[u8]) {
    if let Ok(fields) = v1::decode(data) {
        assert_eq!(v1::encode(&fields), data);
        let cut = data.split_last().map_or(data, |(_, cut)| cut);
        assert!(v1::decode(cut).is_err());
    }
    // The data as contents, wherever a boundary falls.
    let third = data.len() / 3;
    let (one, rest) = data.split_at_checked(third).unwrap_or((data, &[]));
    let (two, three) = rest.split_at_checked(third).unwrap_or((rest, &[]));
    let fields = v1::Fields {
        audience: one,
        method: two,
        authority: three,
        path: three,
        query: one,
        content_type: two,
        body_digest: one,
        timestamp: &[],
        nonce: data,
        key_id: two,
    };
    assert_eq!(v1::decode(&v1::encode(&fields)), Ok(fields));
}

/// The body of the fuzz target `signed_request_row`: rows that decode encode to the same bytes, nothing
/// is granted on other bytes, a row whose time is over decides like none, and what is left decodes.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_signed_request_row(data: &[u8]) {
    let (seen, count) = (Seen::decode(data), Count::decode(data));
    for next in [seen.map(Seen::into_next), count.map(Count::into_next)] {
        let kept = next.as_ref().and_then(bytes_of);
        assert!(kept.is_none_or(|bytes| bytes == data));
    }
    let over = seen.map(|seen| seen.over_at);
    let over = over.or(count.map(|count| count.over_at));
    for now in [NOW, over.unwrap_or(NOW), Timestamp::MAX] {
        let claim = Claim {
            timestamp: now,
            window: WINDOW,
            made_at: None,
        };
        let noted = claim.note(Some(data), now);
        let counted = claim.count(Some(data), 10, now);
        if seen.is_none() && now < Timestamp::MAX {
            assert_eq!(noted, (Err(Error::Corrupt), Next::Keep));
        }
        if count.is_none() {
            assert_eq!(counted, (Err(Error::Corrupt), Next::Keep));
            assert_eq!(claim.uncount(Some(data), now), ((), Next::Keep));
        }
        if seen.is_some() && over.is_some_and(|over| over <= now) {
            assert_eq!(noted, claim.note(None, now));
        }
        if count.is_some() && over.is_some_and(|over| over <= now) {
            assert_eq!(counted, claim.count(None, 10, now));
        }
        let left = bytes_of(&counted.1);
        assert!(left.is_none_or(|bytes| Count::decode(&bytes).is_some()));
    }
}

fn bytes_of(next: &Next) -> Option<Vec<u8>> {
    match next {
        Next::Put { value, .. } => Some(value.as_bytes().to_vec()),
        Next::Keep | Next::Settled | Next::Remove => None,
    }
}

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const WINDOW: Window = Window {
    skew: std::time::Duration::from_secs(300),
    ahead: std::time::Duration::from_secs(5),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_v1_covers_is_changed_alone_whatever_the_target_is_like() {
        let v1 = V1::new("orders").unwrap();
        for target in ["/a?b=c", "/a", "/?", "https://api.example.com/a?b"] {
            let request = Request::post(target)
                .header("host", "api.example.com")
                .header("content-type", "text/plain")
                .header("x-timestamp", "1700000000")
                .body(Bytes::from("{}"))
                .unwrap();
            let changed = changes(&v1, &request, "x-key-id");
            let before = parts(&request);
            for part in 0..before.len() {
                let alone = changed.iter().any(|changed| {
                    let after = parts(changed);
                    (0..before.len()).all(|at| (after[at] == before[at]) == (at != part))
                });
                assert!(alone, "part {part} of {target}");
            }
        }
    }

    fn parts(request: &Request<Bytes>) -> [String; 9] {
        let uri = request.uri();
        let target = uri.path_and_query().unwrap();
        let (host, of_target) = (request.headers().get("host"), uri.authority());
        let host = host.unwrap().to_str().unwrap();
        assert!(of_target.is_none_or(|named| named.as_str() == host));
        let header = |name| format!("{:?}", request.headers().get(name));
        [
            request.method().to_string(),
            host.to_owned(),
            target.path().to_owned(),
            target.as_str()[target.path().len()..].to_owned(),
            header("content-type"),
            format!("{:?}", request.body()),
            header("x-timestamp"),
            header("x-nonce"),
            header("x-key-id"),
        ]
    }
}
