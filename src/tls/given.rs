//! A certificate and its key as the host has given them, in PEM files; read anew when those are replaced, as whoever renews
//! certificates does every few weeks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The files are looked at so often at most.
const LOOK_PAUSE: Duration = Duration::from_secs(60);

/// What is wrong with what the host has given.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is none in PEM, or has something else in it.
    #[error("{path} holds no {what} in PEM")]
    Missing {
        /// As configured.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The two do not belong together, or are of a kind that is not known.
    #[error("the certificate in {certificate} and the key in {key} cannot be used: {why}")]
    Unusable {
        /// As configured.
        certificate: PathBuf,
        /// As configured.
        key: PathBuf,
        /// What is wrong.
        why: rustls::Error,
    },
}

type Stamps = [Option<SystemTime>; 2];

#[derive(Debug)]
struct Inner {
    key: Arc<CertifiedKey>,
    stamps: Stamps,
    looked: Instant,
}

/// The certificate in use, and where it comes from.
#[derive(Debug)]
pub(super) struct Given {
    /// The certificate's, with those that lead up to a root, and the key's.
    paths: [PathBuf; 2],
    provider: Arc<CryptoProvider>,
    inner: Mutex<Inner>,
}

impl Given {
    pub(super) fn open(
        paths: [PathBuf; 2],
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, GivenError> {
        let inner = Inner {
            stamps: stamps(&paths),
            key: Arc::new(read(&paths, &provider)?),
            looked: Instant::now(),
        };
        Ok(Given {
            paths,
            provider,
            inner: Mutex::new(inner),
        })
    }

    /// Reads the files anew if they were replaced.
    pub(super) fn refresh(&self, now: Instant) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(inner.looked) < LOOK_PAUSE {
            return;
        }
        inner.looked = now;
        let stamps = stamps(&self.paths);
        if stamps == inner.stamps {
            return;
        }
        match read(&self.paths, &self.provider) {
            Ok(key) => {
                tracing::info!("a new certificate in {}", self.paths[0].display());
                inner.key = Arc::new(key);
                inner.stamps = stamps;
            }
            // The other half may just be on its way.
            Err(error) => tracing::warn!("the certificate stays the old one: {error}"),
        }
    }
}

impl ResolvesServerCert for Given {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        Some(inner.key.clone())
    }
}

fn stamps(paths: &[PathBuf; 2]) -> Stamps {
    [0, 1].map(|i| {
        fs::metadata(&paths[i])
            .and_then(|found| found.modified())
            .ok()
    })
}

fn read(paths: &[PathBuf; 2], provider: &CryptoProvider) -> Result<CertifiedKey, GivenError> {
    let [certificate, key] = paths;
    let bytes = contents(certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, pem::Error>>()
        .unwrap_or_default();
    if chain.is_empty() {
        return Err(GivenError::Missing {
            path: certificate.clone(),
            what: "certificate",
        });
    }
    let private =
        PrivateKeyDer::from_pem_slice(&contents(key)?).map_err(|_| GivenError::Missing {
            path: key.clone(),
            what: "private key",
        })?;
    CertifiedKey::from_der(chain, private, provider).map_err(|why| GivenError::Unusable {
        certificate: certificate.clone(),
        key: key.clone(),
        why,
    })
}

fn contents(path: &Path) -> Result<Vec<u8>, GivenError> {
    fs::read(path).map_err(|error| GivenError::Unreadable {
        path: path.into(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring;

    use super::*;

    /// Writes a new certificate and its key, and gives the certificate.
    fn put(paths: &[PathBuf; 2], written: SystemTime) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["pi.local".to_owned()]).unwrap();
        for (path, pem) in paths
            .iter()
            .zip([made.cert.pem(), made.signing_key.serialize_pem()])
        {
            fs::write(path, pem).unwrap();
            let file = fs::File::options().append(true).open(path).unwrap();
            file.set_modified(written).unwrap();
        }
        made.cert.der().clone()
    }

    #[test]
    fn a_certificate_that_was_replaced_is_shown_after_a_while_and_half_of_a_pair_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["crt", "key"].map(|kind| folder.path().join(kind));
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let first = put(&paths, long_ago);
        let given = Given::open(paths.clone(), Arc::new(ring::default_provider())).unwrap();
        let shown = || given.inner.lock().unwrap().key.cert[0].clone();

        let later = Instant::now() + 2 * LOOK_PAUSE;
        let second = put(&paths, long_ago + LOOK_PAUSE);
        given.refresh(Instant::now());
        assert_eq!(shown(), first, "they are not looked at all the time");
        given.refresh(later);
        assert_eq!(shown(), second);

        let whole = fs::read(&paths[1]).unwrap();
        put(&paths, long_ago + 2 * LOOK_PAUSE);
        fs::write(&paths[1], whole).unwrap();
        given.refresh(later + LOOK_PAUSE);
        assert_eq!(shown(), second, "the new certificate has no key yet");
    }
}
