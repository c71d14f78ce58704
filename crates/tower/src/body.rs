//! A body that is read once, within bounds, and handed on as it came.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use pin_project_lite::pin_project;
use portcullis_core::Reason;

/// The whole body, at most `limit_bytes` of it, and for `within` at most.
///
/// Trailers are dropped: no proof here covers them.
pub(crate) async fn read<B>(body: B, limit_bytes: usize, within: Duration) -> Result<Bytes, Reason>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    if body.size_hint().lower() > limit {
        return Err(Reason::BodyTooLarge);
    }
    let read = Limited::new(body, limit_bytes).collect();
    match tokio::time::timeout(within, read).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Reason::BodyTooLarge),
        // One that breaks off, or comes by the byte to hold a place here.
        Ok(Err(_)) | Err(_) => Err(Reason::BadRequest),
    }
}

pin_project! {
    /// The body of a request that passed a layer which reads bodies: the original one, or, where it was
    /// read for its proof, the very same bytes.
    pub struct ReadBody<B> {
        #[pin]
        body: Held<B>,
    }
}

pin_project! {
    #[project = HeldProjection]
    enum Held<B> {
        Original { #[pin] body: B },
        Read { #[pin] body: Full<Bytes> },
    }
}

impl<B> ReadBody<B> {
    #[cfg(feature = "cookie")]
    pub(crate) const fn original(body: B) -> Self {
        Self {
            body: Held::Original { body },
        }
    }

    pub(crate) fn read(bytes: Bytes) -> Self {
        Self {
            body: Held::Read {
                body: Full::new(bytes),
            },
        }
    }
}

impl<B> fmt::Debug for ReadBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.body {
            Held::Original { .. } => "ReadBody(original)",
            Held::Read { .. } => "ReadBody(read)",
        })
    }
}

impl<B: Body<Data = Bytes>> Body for ReadBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().body.project() {
            HeldProjection::Original { body } => body.poll_frame(context),
            HeldProjection::Read { body } => {
                body.poll_frame(context).map_err(|never| match never {})
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Held::Original { body } => body.is_end_stream(),
            Held::Read { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Held::Original { body } => body.size_hint(),
            Held::Read { body } => body.size_hint(),
        }
    }
}

/// Longer than a slow line takes for what is read here.
pub(crate) const READ: Duration = Duration::from_secs(10);
