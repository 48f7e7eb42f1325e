//! A certificate from files, which is taken up anew when they change.

use super::{PROTOCOLS, tls13};
use crate::config::TlsFiles;
use micro_sdk::wire::{Code, Fault};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    path::Path,
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};
use tokio_rustls::TlsAcceptor;

/// How often it is looked whether the files have changed: who renews a certificate does so days before it ends, and
/// reading two small files costs nothing.
const LOOK: Duration = Duration::from_secs(2);
/// The largest file that is read: a chain of certificates has a few kilobytes.
const FILE_BYTES_MAX: usize = 1 << 20;

/// The certificate as it is at present.
pub(in crate::doors) struct Certificate {
    files: TlsFiles,
    /// What the files held when they were taken up, or when they were last refused.
    read: RwLock<(Vec<u8>, Vec<u8>)>,
    current: RwLock<TlsAcceptor>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// [`Code::Usage`] with the file that is wrong.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, Fault> {
        let read = read(&files)?;
        let current = RwLock::new(acceptor(&files, &read)?);
        Ok(Arc::new(Certificate { files, read: RwLock::new(read), current }))
    }

    /// How connections are taken now.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.current.read().expect("no code panics while it holds the certificate").clone()
    }

    /// Takes up what the files hold whenever that has changed, until the node drains. What can't be used is told once,
    /// and the certificate that holds goes on.
    pub async fn follow(self: Arc<Self>, mut draining: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                _ = draining.wait_for(|draining| *draining) => return,
                () = sleep(LOOK) => {}
            }
            match self.look() {
                Ok(true) => tracing::info!("the certificate of the HTTP api was taken up anew"),
                Ok(false) => {}
                Err(fault) => tracing::warn!(%fault, "the certificate of the HTTP api stays as it was"),
            }
        }
    }

    /// Takes up what the files hold, if that has changed since it was looked last. Returns whether it has.
    ///
    /// # Errors
    /// If that can't be used.
    pub fn look(&self) -> Result<bool, Fault> {
        let read = read(&self.files)?;
        {
            let mut known = self.read.write().expect("no code panics while it holds what was read");
            if *known == read {
                return Ok(false);
            }
            known.clone_from(&read);
        }
        let acceptor = acceptor(&self.files, &read)?;
        *self.current.write().expect("no code panics while it holds the certificate") = acceptor;
        Ok(true)
    }
}

fn read(files: &TlsFiles) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    Ok((file(&files.certificate)?, file(&files.key)?))
}

#[expect(clippy::disallowed_methods, reason = "the operator's own files, read only")]
fn file(path: &Path) -> Result<Vec<u8>, Fault> {
    let shown = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| Fault::new(Code::Usage, format!("the file {shown} can't be read: {error}")))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Fault::new(
            Code::Usage,
            format!("the file {shown} has more than {FILE_BYTES_MAX} bytes"),
        ));
    }
    Ok(bytes)
}

fn acceptor(files: &TlsFiles, (certificate, key): &(Vec<u8>, Vec<u8>)) -> Result<TlsAcceptor, Fault> {
    let bad = |path: &Path, why: String| {
        Fault::new(Code::Usage, format!("the file {} can't be used: {why}", path.display()))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(&files.certificate, error.to_string()))?;
    if chain.is_empty() {
        let help = "give the certificate in PEM: it begins with -----BEGIN CERTIFICATE-----";
        return Err(bad(&files.certificate, "there is no certificate in it".to_owned()).help(help));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
        bad(&files.key, error.to_string()).help("give the key in PEM, without a passphrase")
    })?;
    let config = tls13().and_then(|builder| builder.with_single_cert(chain, key));
    let mut config = config.map_err(|error| bad(&files.certificate, format!("{error}, with that key")))?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
