//! TLS of the proxy's listener: a certificate and its key in files, as a Secret has them, read anew when they change.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use tokio_rustls::TlsAcceptor;

/// What is spoken inside, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its key, shared by all listeners.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    known: Mutex<Known>,
}

/// What the files held when they were read last.
struct Known {
    files: [Vec<u8>; 2],
    config: Arc<ServerConfig>,
}

/// Why two files are no certificate with its key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{} cannot be read: {}", .0.display(), .1)]
    Read(PathBuf, #[source] std::io::Error),
    /// There is no certificate in it.
    #[error("{} holds no certificates in PEM: {}", .0.display(), .1)]
    Certificate(PathBuf, #[source] pem::Error),
    /// There is no key in it.
    #[error("{} holds no private key in PEM: {}", .0.display(), .1)]
    Key(PathBuf, #[source] pem::Error),
    /// They do not belong together, or are of a kind that is not known.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    /// Reads a chain of certificates, the server's own first, and its private key, both in PEM.
    ///
    /// # Errors
    /// [`Error`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let known = Mutex::new(Known::of(certificate, key, read(certificate, key)?)?);
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), known })
    }

    /// Looks whether the files changed; new connections get what is in them now. Answers whether they did.
    ///
    /// # Errors
    /// [`Error`]; the last certificate that could be used stays.
    pub fn refresh(&self) -> Result<bool, Error> {
        let files = read(&self.certificate, &self.key)?;
        if self.known().files == files {
            return Ok(false);
        }
        let known = Known::of(&self.certificate, &self.key, files)?;
        *self.known() = known;
        Ok(true)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.known().config))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn of(certificate: &Path, key: &Path, files: [Vec<u8>; 2]) -> Result<Self, Error> {
        let chain = CertificateDer::pem_slice_iter(&files[0])
            .collect::<Result<Vec<_>, _>>()
            .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
            .map_err(|error| Error::Certificate(certificate.to_owned(), error))?;
        let key =
            PrivateKeyDer::from_pem_slice(&files[1]).map_err(|error| Error::Key(key.to_owned(), error))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(Self { files, config: Arc::new(config) })
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays untold.
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

fn read(certificate: &Path, key: &Path) -> Result<[Vec<u8>; 2], Error> {
    let read = |path: &Path| fs::read(path).map_err(|error| Error::Read(path.to_owned(), error));
    Ok([read(certificate)?, read(key)?])
}
