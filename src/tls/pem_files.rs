//! A certificate and its key in PEM files that the operator configured. A background task reloads the files after they
//! change, because certificate renewal replaces them every few weeks. After the start, only this task accesses the files,
//! so that a file system that hangs delays no TLS handshake.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::MissedTickBehavior;

/// Interval between checks of the modification times of the files.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Why a configured certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The configured path.
        path: PathBuf,
        /// The error of the system call.
        error: io::Error,
    },
    /// A file has no PEM section of the required kind.
    #[error("{path} holds no {kind} in PEM format")]
    Missing {
        /// The configured path.
        path: PathBuf,
        /// The required kind: "certificate" or "private key".
        kind: &'static str,
    },
    /// The key does not match the certificate, or its algorithm is not supported.
    #[error("the certificate in {certificate} and the key in {key} cannot be used: {error}")]
    Unusable {
        /// The configured path of the certificate.
        certificate: PathBuf,
        /// The configured path of the key.
        key: PathBuf,
        /// The error of the TLS library.
        error: rustls::Error,
    },
}

/// Modification times of the certificate file and the key file; `None` if a file is missing.
type ModificationTimes = [Option<SystemTime>; 2];

/// The certificate in use, and the files from which it was loaded.
#[derive(Debug)]
pub(super) struct PemFiles {
    /// The file of the certificate with its intermediates, and the file of the key.
    paths: [PathBuf; 2],
    provider: Arc<CryptoProvider>,
    /// Every handshake takes this lock, so no file is accessed while the lock is held.
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    certified_key: Arc<CertifiedKey>,
    modified: ModificationTimes,
    /// The modification times at the last failed reload, so that each failure is logged once; `None` after a successful one.
    last_failure: Option<ModificationTimes>,
}

impl PemFiles {
    /// Reads the files. Blocks the thread.
    ///
    /// # Errors
    /// [`PemError`].
    pub(super) fn open(
        paths: [PathBuf; 2],
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, PemError> {
        let loaded = Loaded {
            modified: modification_times(&paths),
            certified_key: Arc::new(read_certified_key(&paths, &provider)?),
            last_failure: None,
        };
        Ok(PemFiles {
            paths,
            provider,
            loaded: Mutex::new(loaded),
        })
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files again if their modification times have changed. Keeps the old certificate if the new files cannot be
    /// used. Blocks the thread.
    fn reload_if_modified(&self) {
        let modified = modification_times(&self.paths);
        if modified == self.loaded().modified {
            return;
        }
        match read_certified_key(&self.paths, &self.provider) {
            Ok(key) => {
                tracing::info!("loaded a new certificate from {}", self.paths[0].display());
                *self.loaded() = Loaded {
                    certified_key: Arc::new(key),
                    modified,
                    last_failure: None,
                };
            }
            // Perhaps only one of the two files has been replaced so far. The field `modified` stays unchanged, so the next
            // check reads both files again.
            Err(error) => {
                if self.loaded().last_failure.replace(modified) != Some(modified) {
                    tracing::warn!(
                        "cannot load the new certificate, so the old one stays in use: {error}"
                    );
                }
            }
        }
    }
}

/// Reloads the files after they change, until `files` is dropped.
pub(super) async fn reload_periodically(files: Weak<PemFiles>) {
    let mut timer = tokio::time::interval(RELOAD_INTERVAL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick completes at once, but the files have just been read.
    timer.tick().await;
    loop {
        timer.tick().await;
        let Some(files) = files.upgrade() else {
            return;
        };
        let reload = tokio::task::spawn_blocking(move || files.reload_if_modified());
        if let Err(error) = reload.await {
            tracing::error!("cannot reload the certificate: {error}");
        }
    }
}

impl ResolvesServerCert for PemFiles {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.loaded().certified_key.clone())
    }
}

fn modification_times(paths: &[PathBuf; 2]) -> ModificationTimes {
    [0, 1].map(|i| fs::metadata(&paths[i]).and_then(|m| m.modified()).ok())
}

fn read_certified_key(
    paths: &[PathBuf; 2],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, PemError> {
    let [certificate, key] = paths;
    let bytes = read_file(certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, pem::Error>>()
        .unwrap_or_default();
    if chain.is_empty() {
        return Err(PemError::Missing {
            path: certificate.clone(),
            kind: "certificate",
        });
    }
    let private =
        PrivateKeyDer::from_pem_slice(&read_file(key)?).map_err(|_| PemError::Missing {
            path: key.clone(),
            kind: "private key",
        })?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| PemError::Unusable {
        certificate: certificate.clone(),
        key: key.clone(),
        error,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, PemError> {
    fs::read(path).map_err(|error| PemError::Unreadable {
        path: path.into(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring;
    use tempfile::TempDir;

    use super::*;

    /// Writes a new certificate and its key, both with the modification time `modified`; returns the certificate.
    fn write_pair(paths: &[PathBuf; 2], modified: SystemTime) -> CertificateDer<'static> {
        let generated = rcgen::generate_simple_self_signed(["pi.local".to_owned()]).unwrap();
        for (path, pem) in paths
            .iter()
            .zip([generated.cert.pem(), generated.signing_key.serialize_pem()])
        {
            fs::write(path, pem).unwrap();
            let file = fs::File::options().append(true).open(path).unwrap();
            file.set_modified(modified).unwrap();
        }
        generated.cert.der().clone()
    }

    fn long_ago() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
    }

    /// Loaded files, the certificate in them, and their folder.
    fn loaded_files() -> (PemFiles, CertificateDer<'static>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["crt", "key"].map(|kind| folder.path().join(kind));
        let certificate = write_pair(&paths, long_ago());
        let files = PemFiles::open(paths, Arc::new(ring::default_provider())).unwrap();
        (files, certificate, folder)
    }

    fn certificate_in_use(files: &PemFiles) -> CertificateDer<'static> {
        files.loaded().certified_key.cert[0].clone()
    }

    #[test]
    fn loads_a_replaced_pair_only_after_both_files_are_replaced() {
        let (files, first, _folder) = loaded_files();
        files.reload_if_modified();
        assert_eq!(certificate_in_use(&files), first);
        let second = write_pair(&files.paths, long_ago() + Duration::from_secs(60));
        files.reload_if_modified();
        assert_eq!(certificate_in_use(&files), second);

        let old_key = fs::read(&files.paths[1]).unwrap();
        write_pair(&files.paths, long_ago() + Duration::from_secs(120));
        let new_key = fs::read(&files.paths[1]).unwrap();
        fs::write(&files.paths[1], old_key).unwrap();
        files.reload_if_modified();
        assert_eq!(
            certificate_in_use(&files),
            second,
            "the key is not replaced yet"
        );
        let failed = files.loaded().last_failure;
        assert_eq!(failed, Some(modification_times(&files.paths)));
        fs::write(&files.paths[1], new_key).unwrap();
        files.reload_if_modified();
        assert_ne!(
            certificate_in_use(&files),
            second,
            "both files are replaced"
        );
        assert_eq!(files.loaded().last_failure, None);
    }

    #[tokio::test(start_paused = true)]
    async fn checks_the_files_periodically() {
        let (files, first, _folder) = loaded_files();
        let files = Arc::new(files);
        let second = write_pair(&files.paths, long_ago() + Duration::from_secs(60));
        let reloading = tokio::spawn(reload_periodically(Arc::downgrade(&files)));
        tokio::time::sleep(RELOAD_INTERVAL / 2).await;
        assert_eq!(
            certificate_in_use(&files),
            first,
            "the interval is not over yet"
        );
        while certificate_in_use(&files) != second {
            tokio::time::sleep(RELOAD_INTERVAL).await;
        }
        drop(files);
        reloading.await.unwrap();
    }
}
