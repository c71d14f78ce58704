//! Takes connections, with TLS and without, and tells the gates who is at the other end.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::serve::IncomingStream;
use portcullis::tower::PeerAddress;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, error};

use crate::tls::Tls;

/// A port that connections are taken at.
#[derive(Debug)]
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Tls>>,
    /// Each on a task of its own: one that is slow keeps nobody else waiting. None outlives the listener.
    handshakes: JoinSet<Option<(Connection, SocketAddr)>>,
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
            handshakes: JoinSet::new(),
        })
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            tokio::select! {
                (stream, peer) = accepted(&self.tcp), if self.handshakes.len() < HANDSHAKES => {
                    let Some(tls) = &self.tls else {
                        return (Connection::Plain(stream), peer);
                    };
                    self.handshakes.spawn(handshake(tls.acceptor(), stream, peer));
                }
                Some(shaken) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = shaken {
                        return connection;
                    }
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

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(Connection, SocketAddr)> {
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some((Connection::Tls(Box::new(stream)), peer)),
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

/// The bytes of a connection.
#[derive(Debug)]
pub(crate) enum Connection {
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
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

/// Handshakes under way at once: what is more waits in the system's queue. Each holds some tens of
/// kilobytes, and ends within [`HANDSHAKE`].
const HANDSHAKES: usize = 512;
/// Several round trips of a poor line.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a system without a descriptor to spare is given.
const REST: Duration = Duration::from_secs(1);
