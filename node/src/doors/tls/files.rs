//! A certificate from files, which is taken up anew when they change.

use super::{PROTOCOLS, tls13};
use crate::config::TlsFiles;
use micro_sdk::wire::{Code, Fault};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
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
    known: RwLock<Known>,
    current: RwLock<TlsAcceptor>,
}

/// What the files held when they were looked at last.
struct Known {
    read: (Vec<u8>, Vec<u8>),
    /// Why that can't be used, if it can't.
    refused: Option<Fault>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// [`Code::Usage`] with the file that is wrong.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, Fault> {
        let read = read(&files)?;
        let current = RwLock::new(acceptor(&files, &read)?);
        let known = RwLock::new(Known { read, refused: None });
        Ok(Arc::new(Certificate { files, known, current }))
    }

    /// How connections are taken now.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.current.read().expect("no code panics while it holds the certificate").clone()
    }

    /// Takes up what the files hold whenever that has changed, until the node drains. What can't be used is logged
    /// once, and the certificate that holds goes on. `tell` is told why for as long as that is so: from the second
    /// look on, since of two files one may just have been written before the other.
    pub async fn follow(self: Arc<Self>, tell: impl Fn(Option<&str>), mut draining: watch::Receiver<bool>) {
        let (mut last, mut told) = (None, None);
        loop {
            tokio::select! {
                biased;
                _ = draining.wait_for(|draining| *draining) => return,
                () = sleep(LOOK) => {}
            }
            match self.look() {
                Ok(changed) => {
                    if changed {
                        tracing::info!("the certificate of the HTTP api was taken up anew");
                    }
                    last = None;
                    if told.take().is_some() {
                        tell(None);
                    }
                }
                Err(fault) if last.as_ref() == Some(&fault) => {
                    if told != last {
                        tell(Some(&fault.message));
                        told.clone_from(&last);
                    }
                }
                Err(fault) => {
                    tracing::warn!(%fault, "the certificate of the HTTP api stays as it was");
                    last = Some(fault);
                }
            }
        }
    }

    /// Takes up what the files hold, if that has changed since it was looked last. Returns whether it has.
    ///
    /// # Errors
    /// If that can't be used, whether it has changed or not.
    pub fn look(&self) -> Result<bool, Fault> {
        let read = read(&self.files)?;
        {
            let known = self.known.read().expect("no code panics while it holds what was read");
            if known.read == read {
                return known.refused.clone().map_or(Ok(false), Err);
            }
        }
        let acceptor = acceptor(&self.files, &read);
        let refused = acceptor.as_ref().err().cloned();
        *self.known.write().expect("no code panics while it holds what was read") = Known { read, refused };
        let acceptor = acceptor?;
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
        .map_err(|error| bad(&files.certificate, garbled(&error).to_owned()))?;
    if chain.is_empty() {
        let help = "give the certificate in PEM: it begins with -----BEGIN CERTIFICATE-----";
        return Err(bad(&files.certificate, "there is no certificate in it".to_owned()).help(help));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
        bad(&files.key, garbled(&error).to_owned()).help("give the key in PEM, without a passphrase")
    })?;
    let config = tls13().and_then(|builder| builder.with_single_cert(chain, key));
    let mut config = config.map_err(|error| bad(&files.certificate, format!("{error}, with that key")))?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What is wrong with a file in PEM. Nothing of what it holds is repeated: it may be a key, and this goes into logs
/// and to all nodes.
fn garbled(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it ends before the line -----END",
        pem::Error::IllegalSectionStart { .. } => "a line that begins with -----BEGIN is garbled",
        pem::Error::Base64Decode(_) => "what stands between -----BEGIN and -----END is no base64",
        pem::Error::NoItemsFound => "there is nothing of the kind in it",
        pem::Error::SectionTooLarge => "it is too large",
        _ => "it is not PEM",
    }
}
