//! The client's address, and whether it may call.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::request;
use portcullis_core::{Reason, Timestamp};
use portcullis_ip_list::{AddressList, TrustedProxies, Verdict};

use crate::{Admitted, Gate, Refusal};

/// In a request's extensions: the address of the machine at the other end of the connection. The
/// server puts it there when it accepts; the [`AddressGate`] answers 500 to a request without it.
///
/// With the feature `axum`, the `axum::extract::ConnectInfo<SocketAddr>` that
/// `Router::into_make_service_with_connect_info::<SocketAddr>()` leaves serves as well; where both
/// are there, this one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// Tells the client's address, once for limiter, lockout, list and audit, and checks it against a
/// list. Leaves a [`portcullis_ip_list::ClientAddress`] in the extensions.
///
/// A request that carries no [`PeerAddress`], nor, with the feature `axum`, a `ConnectInfo<SocketAddr>`,
/// is answered with 500 ([`Reason::Internal`]): there is nothing to decide by. An axum app is served
/// with `into_make_service_with_connect_info::<SocketAddr>()` for that.
#[derive(Clone, Debug)]
pub struct AddressGate {
    proxies: Arc<TrustedProxies>,
    list: Arc<AddressList>,
}

impl AddressGate {
    /// A gate that believes `proxies` about forwarded addresses and admits what `list` admits.
    #[must_use]
    pub fn new(proxies: TrustedProxies, list: AddressList) -> Self {
        Self {
            proxies: Arc::new(proxies),
            list: Arc::new(list),
        }
    }
}

impl AddressGate {
    /// For clients that connect directly, from anywhere: the peer's address is the client's, no
    /// forwarding header is believed, and everyone is admitted. Behind a proxy all clients would be one:
    /// name it then ([`AddressGate::new`]).
    #[must_use]
    pub fn direct() -> Self {
        Self::new(TrustedProxies::none(), AddressList::everyone())
    }
}

impl Gate for AddressGate {
    type Pass = Admitted;

    async fn admit(&self, head: &mut request::Parts, _now: Timestamp) -> Result<Admitted, Refusal> {
        // Without a peer there is nothing to decide by: the server was put together wrongly.
        let peer = peer(head).ok_or(Reason::Internal)?;
        let lines = head.headers.get_all(self.proxies.header().as_str());
        let client = self
            .proxies
            .client_address(peer, lines.iter().map(http::HeaderValue::as_bytes))
            .map_err(|_| Reason::AddressUnknown)?;
        head.extensions.insert(client);
        // Of an `ObserveLayer`'s span; one that has no such field takes no notice.
        #[cfg(feature = "tracing")]
        tracing::Span::current().record("client_address", tracing::field::display(client.ip()));
        match self.list.check(client.ip()) {
            Verdict::Admitted => Ok(Admitted),
            _ => Err(Refusal::new(Reason::AddressRefused)),
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("addresses: ")?;
        f.write_str(if self.list.is_everyone() {
            "everyone"
        } else {
            "those that the list admits"
        })
    }
}

fn peer(head: &request::Parts) -> Option<IpAddr> {
    let stated = head.extensions.get::<PeerAddress>().map(|peer| peer.0);
    #[cfg(feature = "axum")]
    let stated = stated.or_else(|| {
        let info = head
            .extensions
            .get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        info.map(|info| info.0.ip())
    });
    stated
}
