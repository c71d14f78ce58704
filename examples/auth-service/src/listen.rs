//! Takes connections, with TLS and without, and tells the gates who is at the other end.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::serve::IncomingStream;
use portcullis::ip_list::{RateKey, rate_key};
use portcullis::tower::PeerAddress;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, error};

use crate::tls::Tls;

/// A port that connections are taken at.
#[derive(Debug)]
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Tls>>,
    handshakes: Handshakes<Option<(Connection, SocketAddr)>>,
}

impl Listener {
    /// Listens at `address`.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) async fn bind(address: SocketAddr, tls: Option<Arc<Tls>>) -> io::Result<Self> {
        Ok(Self {
            tcp: TcpListener::bind(address).await?,
            tls,
            handshakes: Handshakes::new(),
        })
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            tokio::select! {
                // What is done first: else it would count against those who come.
                biased;
                Some(shaken) = self.handshakes.ended() => {
                    if let Some(connection) = shaken {
                        return connection;
                    }
                }
                // However many are under way: else those who are slow would keep others out.
                (stream, peer) = accepted(&self.tcp) => {
                    let Some(tls) = &self.tls else {
                        return (Connection::new(Stream::Plain(stream), FIRST_BYTE), peer);
                    };
                    let shaking = handshake(tls.acceptor(), stream, peer);
                    self.handshakes.begin(peer, shaking);
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// The next connection. What ails one caller is passed over; where the system has no more to give, it
/// is waited for.
async fn accepted(tcp: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match tcp.accept().await {
            Ok((stream, peer)) => {
                // Answers are small and complete: nothing is gained by waiting for more.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) if is_the_callers(&error) => debug!(%error, "a caller went away"),
            Err(error) => {
                error!(%error, "no connection can be taken");
                sleep(REST).await;
            }
        }
    }
}

fn is_the_callers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

/// Handshakes under way, each on a task of its own: one that is slow keeps nobody else waiting. None outlives
/// the listener.
#[derive(Debug)]
struct Handshakes<T> {
    tasks: JoinSet<T>,
    /// The oldest first, by whom it is with.
    under_way: VecDeque<(RateKey, AbortHandle)>,
}

impl<T: Send + 'static> Handshakes<T> {
    fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            under_way: VecDeque::new(),
        }
    }

    fn begin(&mut self, peer: SocketAddr, handshake: impl Future<Output = T> + Send + 'static) {
        let key = rate_key(peer.ip());
        if let Some((_, oldest)) = self.too_many(key).and_then(|at| self.under_way.remove(at)) {
            debug!(%peer, "too many handshakes: the oldest gives way");
            oldest.abort();
        }
        self.under_way.push_back((key, self.tasks.spawn(handshake)));
    }

    /// Where the one is that gives way to one more of that peer.
    fn too_many(&self, key: RateKey) -> Option<usize> {
        let ages = self.under_way.iter().enumerate();
        let mut own = ages.filter(|(_, (with, _))| *with == key);
        let oldest = own.next().map(|(at, _)| at);
        // A peer that has its share takes from itself alone. The oldest is not counted again.
        if own.count() >= HANDSHAKES_OF_A_PEER - 1 {
            return oldest;
        }
        (self.under_way.len() >= HANDSHAKES).then_some(0)
    }

    /// What came of the next one to end; none if nothing is under way. One that gave way is passed over.
    async fn ended(&mut self) -> Option<T> {
        loop {
            let (id, shaken) = match self.tasks.join_next_with_id().await? {
                Ok((id, shaken)) => (id, Some(shaken)),
                Err(error) => (error.id(), None),
            };
            self.under_way.retain(|(_, task)| task.id() != id);
            if shaken.is_some() {
                return shaken;
            }
        }
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(Connection, SocketAddr)> {
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let stream = Stream::Tls(Box::new(stream));
            Some((Connection::new(stream, FIRST_BYTE), peer))
        }
        Ok(Err(error)) => {
            debug!(%peer, %error, "no TLS");
            None
        }
        Err(_) => {
            debug!(%peer, "no TLS in {HANDSHAKE:?}");
            None
        }
    }
}

/// Whom a connection is with, as axum keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Tells the gates the peer's address; they answer 500 to a request without one.
pub(crate) async fn tell_peer(mut request: Request) -> Request {
    let known = request.extensions_mut();
    if let Some(ConnectInfo(Peer(address))) = known.get::<ConnectInfo<Peer>>() {
        let peer = PeerAddress(address.ip());
        known.insert(peer);
    }
    request
}

/// A connection, of which a first byte is expected in some time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    /// None once something has come.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    fn new(stream: Stream, first_byte: Duration) -> Self {
        Self {
            stream,
            silence: Some(Box::pin(sleep(first_byte))),
        }
    }
}

/// The bytes of a connection.
#[derive(Debug)]
enum Stream {
    /// As they come.
    Plain(TcpStream),
    /// Behind a handshake that is done. Boxed: it is many times as large.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, silence } = self.get_mut();
        let read = match stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, into),
        };
        if read.is_ready() {
            *silence = None;
        } else if let Some(silence) = silence
            && silence.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

/// Handshakes under way at once: to one more, the oldest gives way. Each holds some tens of kilobytes, and
/// ends within [`HANDSHAKE`].
const HANDSHAKES: usize = 512;
/// Of one IPv4 address or IPv6 /64: to one more of it, its own oldest gives way. A browser opens six at once.
const HANDSHAKES_OF_A_PEER: usize = 16;
/// Several round trips of a poor line.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may then say nothing at all: one connects in order to ask.
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// How long a system without a descriptor to spare is given.
const REST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn};

    fn peer(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 50_000)
    }

    impl Handshakes<()> {
        fn stall(&mut self, ip: &str, times: usize) {
            (0..times).for_each(|_| self.begin(peer(ip), pending()));
        }

        fn held<const N: usize>(&self, by: [&str; N]) -> [usize; N] {
            by.map(|ip| {
                let of = |(key, _): &&(RateKey, _)| *key == rate_key(peer(ip).ip());
                self.under_way.iter().filter(of).count()
            })
        }
    }

    #[tokio::test]
    async fn one_peer_takes_its_own_place_alone() {
        let mut handshakes = Handshakes::new();
        handshakes.stall("192.0.2.1", 1);
        handshakes.stall("192.0.2.2", 5000);
        handshakes.stall("192.0.2.3", 16);
        let held = handshakes.held(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        assert_eq!(held, [1, 16, 16]);
    }

    #[tokio::test]
    async fn one_peer_is_an_ipv4_address_in_each_form_or_an_ipv6_64() {
        let mut handshakes = Handshakes::new();
        for ip in [
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "2001:db8::1",
            "2001:db8::2",
        ] {
            handshakes.stall(ip, 16);
        }
        assert_eq!(handshakes.held(["192.0.2.1", "2001:db8::3"]), [16, 16]);
    }

    #[tokio::test]
    async fn the_oldest_of_all_gives_way_where_many_peers_have_few_each() {
        let mut handshakes = Handshakes::new();
        handshakes.stall("192.0.2.1", 1);
        (0..511).for_each(|n| handshakes.stall(&format!("10.0.{}.{}", n / 256, n % 256), 1));
        assert_eq!(handshakes.held(["192.0.2.1", "10.0.0.0"]), [1, 1]);
        handshakes.stall("192.0.2.2", 1);
        let held = handshakes.held(["192.0.2.1", "10.0.0.0", "192.0.2.2"]);
        assert_eq!(held, [0, 1, 1]);
    }

    #[tokio::test]
    async fn what_gives_way_is_the_oldest_and_what_ended_is_counted_no_more() {
        let mut handshakes = Handshakes::new();
        let (open, gate) = tokio::sync::watch::channel(false);
        for n in 0..20 {
            let mut gate = gate.clone();
            handshakes.begin(peer("192.0.2.1"), async move {
                let _ = gate.wait_for(|open| *open).await;
                n
            });
        }
        open.send(true).unwrap();
        let mut ended = Vec::new();
        while let Some(n) = handshakes.ended().await {
            ended.push(n);
        }
        ended.sort_unstable();
        assert_eq!(ended, (4..20).collect::<Vec<_>>());
        assert!(handshakes.under_way.is_empty() && handshakes.tasks.is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_at_all_ends_and_one_that_began_does_not() {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(tcp.local_addr().unwrap()).await;
        let (stream, _) = tcp.accept().await.unwrap();
        let mut connection = Connection::new(Stream::Plain(stream), Duration::from_millis(50));
        let silent = read(&mut connection).await.unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);

        let mut connection = Connection::new(connection.stream, Duration::from_secs(30));
        client.unwrap().try_write(b"G").unwrap();
        assert_eq!(read(&mut connection).await.unwrap(), b"G");
        assert!(connection.silence.is_none());
    }

    async fn read(from: &mut Connection) -> io::Result<Vec<u8>> {
        let mut bytes = [0; 8];
        let mut into = ReadBuf::new(&mut bytes);
        poll_fn(|context| Pin::new(&mut *from).poll_read(context, &mut into)).await?;
        Ok(into.filled().to_vec())
    }
}
