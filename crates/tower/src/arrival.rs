//! One request, one instant, one id.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, HeaderName, HeaderValue, Request, Response};
use portcullis_core::{Clock, Timestamp, entropy};
use tower_layer::Layer;
use tower_service::Service;

/// The instant at which the request arrived, in its extensions: every decision is made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival(pub Timestamp);

/// The request's id, in its extensions, in the response's `X-Request-Id`, in logs and audit records.
/// 128 random bits as 32 lower-case hex digits; never taken from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl RequestId {
    /// Two digits a byte, the higher one first.
    fn digits(self) -> [u8; 32] {
        let mut digits = [0; 32];
        let (pairs, _) = digits.as_chunks_mut();
        for ([high, low], byte) in pairs.iter_mut().zip(self.0) {
            (*high, *low) = (digit(byte >> 4), digit(byte & 15));
        }
        digits
    }
}

const fn digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0'.saturating_add(value),
        _ => b'a'.saturating_add(value.saturating_sub(10)),
    }
}

/// The instant the request carries; a request without one is given the clock's.
pub(crate) fn arrival(extensions: &mut Extensions, clock: &dyn Clock) -> Timestamp {
    if let Some(Arrival(now)) = extensions.get() {
        return *now;
    }
    let now = clock.now();
    extensions.insert(Arrival(now));
    now
}

/// Reads the clock once for each request and gives it an id; stands outside every other layer.
///
/// What a caller says about either is not believed: both are replaced.
#[derive(Clone)]
pub struct ArrivalLayer(Arc<dyn Clock>);

impl ArrivalLayer {
    /// Reads `clock`.
    pub fn new(clock: impl Clock) -> Self {
        Self(Arc::new(clock))
    }
}

impl fmt::Debug for ArrivalLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArrivalLayer")
    }
}

impl<S> Layer<S> for ArrivalLayer {
    type Service = ArrivalService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ArrivalService {
            inner,
            clock: Arc::clone(&self.0),
        }
    }
}

/// A service whose requests carry an [`Arrival`] and a [`RequestId`]; made by [`ArrivalLayer`].
#[derive(Clone)]
pub struct ArrivalService<S> {
    inner: S,
    clock: Arc<dyn Clock>,
}

impl<S: fmt::Debug> fmt::Debug for ArrivalService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ArrivalService").field(&self.inner).finish()
    }
}

impl<S, In, Out> Service<Request<In>> for ArrivalService<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    Out: 'static,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        // Without randomness an id of zeros still names the request's log lines less well, and harms
        // nothing: an id is not a secret.
        let id = RequestId(entropy().unwrap_or_default());
        request.extensions_mut().insert(Arrival(self.clock.now()));
        request.extensions_mut().insert(id);
        let answered = self.inner.call(request);
        Box::pin(async move {
            let mut response = answered.await?;
            if let Ok(value) = HeaderValue::from_bytes(&id.digits()) {
                response.headers_mut().insert(X_REQUEST_ID, value);
            }
            response.extensions_mut().insert(id);
            Ok(response)
        })
    }
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_lower_case_hex_the_higher_digit_first() {
        let id = RequestId([
            0, 1, 9, 10, 15, 16, 0x5e, 0x90, 0xa0, 0xaf, 0xb1, 0xc2, 0xd3, 0xe4, 0xf5, 255,
        ]);
        assert_eq!(id.to_string(), "0001090a0f105e90a0afb1c2d3e4f5ff");
    }
}
