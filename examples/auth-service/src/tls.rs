//! The certificate and its key: read from files, and read again when told to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use crate::keys::{self, KeyError};

/// What connections are taken with, and where it was read from.
#[derive(Debug)]
pub(crate) struct Tls {
    cert: PathBuf,
    key: PathBuf,
    /// Connections under way keep the one they began with.
    current: watch::Sender<Arc<ServerConfig>>,
}

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file could not be read.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner can read the key.
    #[error(transparent)]
    Exposed(KeyError),
    /// A file is not what PEM says it is.
    #[error("{}: {what}", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The key is another certificate's.
    #[error(
        "{key} is not the key of the first certificate in {cert}",
        key = key.display(), cert = cert.display()
    )]
    Mismatch {
        /// The certificates.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The files were read, and TLS cannot be done with what is in them.
    #[error("{cert} with {key}: {source}", key = key.display(), cert = cert.display())]
    Unusable {
        /// The certificates.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads the chain, the service's own certificate first, and its key.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub(crate) fn open(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let (current, _) = watch::channel(read(cert, key)?);
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            current,
        })
    }

    /// Takes connections with what was read last.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.borrow()))
    }

    /// Reads both files again at each SIGHUP, as long as the service runs.
    ///
    /// # Errors
    /// The signal cannot be listened to.
    #[cfg(unix)]
    pub(crate) fn reread_on_hangup(self: &Arc<Self>) -> io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangups = signal(SignalKind::hangup())?;
        let tls = Arc::clone(self);
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                tls.reread();
            }
        });
        Ok(())
    }

    #[cfg(not(unix))]
    pub(crate) fn reread_on_hangup(self: &Arc<Self>) -> io::Result<()> {
        Ok(())
    }

    /// Half-written files must not end a service that works: it goes on with what it has.
    fn reread(&self) {
        match read(&self.cert, &self.key) {
            Ok(config) => {
                self.current.send_replace(config);
                info!("the certificate was read again");
            }
            Err(error) => error!(%error, "the certificate stays as it was"),
        }
    }
}

fn read(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |source| TlsError::Unusable {
        cert: cert.to_owned(),
        key: key.to_owned(),
        source,
    };
    let chain = chain(cert)?;
    let secret = private_key(key)?;
    // The provider is said here: what else is linked into the program does not choose it.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                cert: cert.to_owned(),
                key: key.to_owned(),
            },
            error => unusable(error),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = fs::read(file).map_err(failed(file))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(malformed(file, "holds no certificate in PEM")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(malformed(file, &error.to_string())),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = portcullis::core::Secret::from(fs::read(file).map_err(failed(file))?);
    keys::refuse_exposed(file).map_err(TlsError::Exposed)?;
    PrivateKeyDer::from_pem_slice(text.expose()).map_err(|error| match error {
        pem::Error::NoItemsFound => malformed(
            file,
            "holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, without a passphrase)",
        ),
        error => malformed(file, &error.to_string()),
    })
}

fn failed(file: &Path) -> impl FnOnce(io::Error) -> TlsError {
    let file = file.to_owned();
    move |source| TlsError::File { file, source }
}

fn malformed(file: &Path, what: &str) -> TlsError {
    TlsError::Pem {
        file: file.to_owned(),
        what: what.to_owned(),
    }
}
