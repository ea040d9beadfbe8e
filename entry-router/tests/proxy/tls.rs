//! TLS in front of the proxy, with certificates made on the spot.

use std::{fs, path::PathBuf, sync::Arc};

use foreshift_entry_router::proxy::{
    Limits,
    tls::{Error, Tls},
};
use http::StatusCode;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    backend::{Backend, Manner},
    faults::hasty,
    world::{LONG, World, entry, whole},
};

/// A certificate in files, as a Secret is mounted.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a new certificate with its key.
    fn renew(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["journal".into()]).unwrap();
        fs::write(self.path("tls.crt"), cert.pem()).unwrap();
        fs::write(self.path("tls.key"), signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    fn read(&self) -> Result<Tls, Error> {
        Tls::read(&self.path("tls.crt"), &self.path("tls.key"))
    }
}

/// Connects as a client that trusts this certificate and speaks these protocols.
async fn connect(
    world: &World,
    trusted: &CertificateDer<'static>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("journal").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, world.connect().await).await
}

fn spoken(stream: &TlsStream<TcpStream>) -> Option<&[u8]> {
    stream.get_ref().1.alpn_protocol()
}

#[tokio::test]
async fn entries_come_by_tls_in_the_protocol_that_both_sides_like_best() {
    let files = Files::new();
    let trusted = files.renew();
    let lead = Backend::start(Manner::Acknowledge).await;
    let mut world = World::behind(&[lead.address], Limits::default(), &Arc::new(files.read().unwrap()));

    let stream = connect(&world, &trusted, &["http/1.1", "h2"]).await.unwrap();
    assert_eq!(spoken(&stream), Some(&b"h2"[..]));
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = entry("by-h2", "hello");
    *request.uri_mut() = "https://journal/insert".parse().unwrap();
    let (head, _) = whole(sender.send_request(request).await.unwrap()).await;
    assert_eq!(head.status, StatusCode::ACCEPTED);

    for protocols in [&["http/1.1"][..], &[]] {
        let stream = connect(&world, &trusted, protocols).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(entry(&format!("{protocols:?}"), "hello")).await.unwrap();
        assert_eq!(whole(answer).await.0.status, StatusCode::ACCEPTED);
    }
    assert_eq!(lead.acknowledged().len(), 3);
    drop(sender);
    world.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_for_new_connections_and_half_of_one_changes_nothing() {
    let files = Files::new();
    let first = files.renew();
    let tls = Arc::new(files.read().unwrap());
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::behind(&[lead.address], Limits::default(), &tls);
    let old = connect(&world, &first, &[]).await.unwrap();
    assert!(!tls.refresh().unwrap());

    let second = files.renew();
    assert!(tls.refresh().unwrap());
    assert!(connect(&world, &first, &[]).await.is_err());
    connect(&world, &second, &[]).await.unwrap();

    // The key comes a moment after its certificate.
    fs::write(files.path("tls.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(matches!(tls.refresh(), Err(Error::Unusable(_))));
    fs::remove_file(files.path("tls.crt")).unwrap();
    assert!(matches!(tls.refresh(), Err(Error::Read(..))));
    connect(&world, &second, &[]).await.unwrap();

    let (mut sender, connection) = http1::handshake(TokioIo::new(old)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(entry("old", "hello")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn who_speaks_no_tls_or_begins_it_and_stops_is_cut_off() {
    let files = Files::new();
    files.renew();
    let lead = Backend::start(Manner::Acknowledge).await;
    let world = World::behind(&[lead.address], hasty(), &Arc::new(files.read().unwrap()));
    let plain = world.send_raw(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await;
    assert!(!plain.contains("HTTP/1.1 2"), "{plain}");
    let mut silent = world.connect().await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(LONG, silent.read_to_end(&mut rest)).await;
    assert!(ended.expect("it is cut off").is_err() || rest.is_empty());
    assert!(lead.acknowledged().is_empty());
}

#[test]
fn files_that_are_no_certificate_are_refused_with_what_is_wrong() {
    let files = Files::new();
    files.renew();
    for (file, text) in [("tls.crt", "holds no certificates"), ("tls.key", "holds no private key")] {
        fs::write(files.path(file), "nothing").unwrap();
        let error = files.read().unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
        files.renew();
    }
}
