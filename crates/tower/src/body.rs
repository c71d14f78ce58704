//! A body that is read once, within bounds, and handed on as it came.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use pin_project_lite::pin_project;
use portcullis_core::Reason;
use tokio::time::Instant;

/// The whole body, at most `limit_bytes` of it, and for `within` at most.
///
/// Trailers are dropped: no proof here covers them.
pub(crate) async fn read<B>(body: B, limit_bytes: usize, within: Duration) -> Result<Bytes, Reason>
where
    B: Body<Data = Bytes>,
{
    let mut read = pin!(copy(body, limit_bytes));
    let mut late = None;
    poll_fn(|context| {
        if let Poll::Ready(read) = read.as_mut().poll(context) {
            return Poll::Ready(read);
        }
        // Most bodies are there at once and need no timer, nor the room for one.
        let late = late.get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        // The timer wakes; it is not asked alone, for a body that used up all that tokio lets a task do in
        // a turn leaves it nothing to answer by.
        if late.deadline() <= Instant::now() || late.as_mut().poll(context).is_ready() {
            // One that comes by the byte to hold a place here.
            return Poll::Ready(Err(Reason::BadRequest));
        }
        Poll::Pending
    })
    .await
}

/// The body in a buffer of its own, which never grows beyond the limit.
///
/// Each frame is copied and let go: it holds the whole buffer that the server read it into, so a body
/// sent by the byte would hold thousands of times its length.
async fn copy<B: Body<Data = Bytes>>(body: B, limit_bytes: usize) -> Result<Bytes, Reason> {
    let mut body = pin!(body);
    // What does not fit is over the limit, too.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit_bytes {
        return Err(Reason::BodyTooLarge);
    }
    let mut whole = Vec::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Reason::BadRequest)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let len = whole.len().saturating_add(data.len());
        if len > limit_bytes {
            return Err(Reason::BodyTooLarge);
        }
        if len > whole.capacity() {
            let doubled = whole.capacity().saturating_mul(2).min(limit_bytes);
            whole.reserve_exact(doubled.max(len).saturating_sub(whole.len()));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use http::HeaderMap;
    use tokio::sync::mpsc;

    use super::*;

    const BIG: usize = 64 * 1024;

    /// A server's read buffer, alive as long as any frame cut from it.
    struct Big(Vec<u8>, #[expect(dead_code, reason = "counted")] Arc<()>);

    impl AsRef<[u8]> for Big {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    /// Frames of that many bytes, each cut from a big buffer of its own, then trailers.
    struct Cut {
        frames: Vec<usize>,
        announced: u64,
        alive: Arc<()>,
        most_alive: usize,
        sent: usize,
    }

    impl Cut {
        fn new(frames: Vec<usize>, announced: u64) -> Self {
            Self {
                frames,
                announced,
                alive: Arc::new(()),
                most_alive: 0,
                sent: 0,
            }
        }

        /// How many of its buffers are; the count itself is not one.
        fn alive(&self) -> usize {
            Arc::strong_count(&self.alive).saturating_sub(1)
        }
    }

    impl Body for &mut Cut {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.most_alive = self.most_alive.max(self.alive());
            let at = self.sent;
            self.sent = at.saturating_add(1);
            if at == self.frames.len() {
                return Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new()))));
            }
            let Some(len) = self.frames.get(at) else {
                return Poll::Ready(None);
            };
            let big = Big(vec![b'a'; BIG], Arc::clone(&self.alive));
            let frame = Bytes::from_owner(big).slice(..*len);
            Poll::Ready(Some(Ok(Frame::data(frame))))
        }

        fn size_hint(&self) -> SizeHint {
            let mut hint = SizeHint::new();
            hint.set_lower(self.announced);
            hint
        }
    }

    #[tokio::test]
    async fn a_body_sent_by_the_byte_holds_none_of_the_buffers_it_was_cut_from() {
        for frames in [vec![1; 1000], vec![1], vec![1000], vec![0; 1000]] {
            let len: usize = frames.iter().sum();
            let mut body = Cut::new(frames, 0);
            let whole = read(&mut body, 1000, READ).await.unwrap();
            assert_eq!(whole, vec![b'a'; len]);
            assert_eq!((body.most_alive, body.alive()), (0, 0));
        }
    }

    /// Always has another frame of nothing, out of a channel, as the bodies of servers are: tokio makes
    /// such a one wait when it has taken its share of the thread.
    struct Flood {
        sender: mpsc::UnboundedSender<()>,
        receiver: mpsc::UnboundedReceiver<()>,
        left: u32,
    }

    impl Body for Flood {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some(left) = self.left.checked_sub(1) else {
                return Poll::Ready(None);
            };
            let next = self.receiver.poll_recv(context);
            next.map(|_| {
                self.left = left;
                self.sender.send(()).unwrap();
                Some(Ok(Frame::data(Bytes::new())))
            })
        }
    }

    #[tokio::test]
    async fn a_body_that_always_has_more_is_given_no_longer_than_one_that_waits() {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(()).unwrap();
        let flood = Flood {
            sender,
            receiver,
            left: 4_000_000,
        };
        let refused = read(flood, 1000, Duration::from_millis(20)).await;
        assert_eq!(refused, Err(Reason::BadRequest));
    }

    #[tokio::test]
    async fn the_buffer_of_a_body_is_never_larger_than_the_limit() {
        for (frames, announced) in [
            (vec![1; 1000], 0),
            (vec![1; 700], 0),
            (vec![300, 300, 300], 0),
            (vec![1; 1000], 1000),
            (vec![1; 1000], 999),
        ] {
            let mut body = Cut::new(frames, announced);
            let whole = read(&mut body, 1000, READ).await.unwrap();
            assert!(whole.try_into_mut().unwrap().capacity() <= 1000);
        }
    }

    #[tokio::test]
    async fn the_frame_that_passes_the_limit_is_the_last_one_that_is_taken() {
        for (frames, announced, taken) in [
            (vec![1000, 1, 1, 1], 0, 2),
            (vec![BIG, 1], 0, 1),
            (vec![1; 2000], 0, 1001),
            (vec![1; 2000], 1001, 0),
            (vec![1; 2000], u64::MAX, 0),
        ] {
            let mut body = Cut::new(frames, announced);
            let refused = read(&mut body, 1000, READ).await;
            assert_eq!(refused, Err(Reason::BodyTooLarge));
            assert_eq!(body.sent, taken);
        }
    }
}
