//! Stores this server's certificate authority in a file beside the state file. The file is readable by its owner only. The
//! server creates the file once and never replaces it, because phones trust the authority that it contains.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use serde::{Deserialize, Serialize};

use super::authority::Authority;
use super::name_constraints::PermittedSubtrees;
use crate::data_files::{DataFiles, WriteOptions};

/// Why the server has no usable certificate authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file exists but contains no usable authority. The server leaves the file unchanged.
    #[error(
        "the certificate authority in {path} is damaged: {why}. Restore the file from a backup, because phones may trust \
         this authority; or remove the file to have a new authority created, which each phone must then install again"
    )]
    Damaged {
        /// The authority file.
        path: PathBuf,
        /// What is wrong with its content.
        why: String,
    },
    /// The file cannot be read or written.
    #[error("cannot read or write the certificate authority in {path}: {error}")]
    Unusable {
        /// The authority file.
        path: PathBuf,
        /// The error of the system call.
        error: io::Error,
    },
    /// No key or certificate could be generated.
    #[error("cannot create a certificate authority: {0}")]
    Crypto(#[from] rcgen::Error),
}

/// The content of the file, in JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredAuthority {
    /// The common name of the root certificate.
    pub(super) name: String,
    /// The name constraints of the root certificate.
    #[serde(rename = "names")]
    pub(super) permitted: PermittedSubtrees,
    /// The root certificate, in PEM.
    pub(super) certificate: String,
    /// The private key, in PEM.
    pub(super) key: String,
}

/// Loads the authority from the file beside `state_file`. If there is no such file, creates an authority and the file;
/// `host` and `names` are as for [`Authority::create`].
///
/// # Errors
/// [`AuthorityError`]; an existing file is never replaced.
pub(super) fn load_or_create(
    state_file: &Path,
    host: &str,
    names: &[String],
    provider: &Arc<CryptoProvider>,
) -> Result<Authority, AuthorityError> {
    let files = DataFiles::beside(state_file);
    let path = files.authority_path();
    let unusable = |error| AuthorityError::Unusable {
        path: path.clone(),
        error,
    };
    match fs::read(&path) {
        Ok(bytes) => {
            make_private(&path);
            serde_json::from_slice(&bytes)
                .map_err(|error| error.to_string())
                .and_then(|stored| Authority::from_stored(stored, provider))
                .map_err(|why| AuthorityError::Damaged {
                    path: path.clone(),
                    why,
                })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let created = Authority::create(host, names)?;
            write(&files, &path, created.stored()).map_err(unusable)?;
            tracing::info!(
                "created the certificate authority \"{}\" in {}",
                created.name(),
                path.display()
            );
            Ok(created)
        }
        Err(error) => Err(unusable(error)),
    }
}

/// Writes the authority's file. Fails if the file exists, because phones may trust the authority in it.
fn write(files: &DataFiles, path: &Path, stored: &StoredAuthority) -> io::Result<()> {
    let options = WriteOptions {
        must_be_absent: true,
        ..WriteOptions::DURABLE
    };
    files.replace(path, options, |file| {
        file.write_all(&serde_json::to_vec_pretty(stored)?)
    })
}

/// Removes all permissions of group and others, because a file that was restored from a backup may have another mode.
fn make_private(path: &Path) {
    let Ok(metadata) = fs::metadata(path) else {
        return;
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(
            "other users had permissions for {}, which contains a private key",
            path.display()
        );
        if let Err(error) = fs::set_permissions(path, Permissions::from_mode(0o600)) {
            tracing::warn!(
                "cannot remove the permissions of other users for {}: {error}",
                path.display()
            );
        }
    }
}
