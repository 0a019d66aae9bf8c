//! The TLS configuration of HTTPS, with a certificate that the operator configured or that this server's own certificate
//! authority issued.

mod authority;
mod authority_file;
mod leaf;
mod name_constraints;
mod pem_files;
mod profile;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::ResolvesServerCert;

pub use self::authority::Authority;
pub use self::authority_file::AuthorityError;
use self::leaf::LeafResolver;
pub use self::pem_files::PemError;
use self::pem_files::PemFiles;
use crate::address;
use crate::config::Config;

/// Why the server cannot serve HTTPS. Each message is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The configured certificate or key cannot be used.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The server's own certificate authority cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The TLS library rejects the certificates.
    #[error("cannot serve HTTPS: {0}")]
    Unusable(String),
}

/// The source of the certificates.
#[derive(Debug, Clone)]
enum Certificates {
    /// Files that the operator configured.
    Configured(Arc<PemFiles>),
    /// The server's own certificate authority.
    Issued(Arc<LeafResolver>),
}

/// The TLS configuration, and the source of its certificates.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    certificates: Certificates,
}

impl Tls {
    /// Opens the configured certificate files, or the server's own certificate authority; `None` if HTTPS is not configured.
    /// Spawns the task that reloads the configured files after they change.
    ///
    /// # Errors
    /// [`TlsError`].
    pub async fn open(config: &Config) -> Result<Option<Self>, TlsError> {
        let config = config.clone();
        let opened = tokio::task::spawn_blocking(move || Tls::open_blocking(&config))
            .await
            .map_err(|error| TlsError::Unusable(error.to_string()))??;
        if let Some(tls) = &opened {
            if let Certificates::Configured(files) = &tls.certificates {
                tokio::spawn(pem_files::reload_periodically(Arc::downgrade(files)));
            }
        }
        Ok(opened)
    }

    /// As [`Tls::open`], but blocks, and spawns no task.
    fn open_blocking(config: &Config) -> Result<Option<Self>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let certificates = match (&config.tls_cert, &config.tls_key) {
            (Some(certificate), Some(key)) => {
                let paths: [PathBuf; 2] = [certificate.clone(), key.clone()];
                Certificates::Configured(Arc::new(PemFiles::open(paths, provider.clone())?))
            }
            _ if !config.tls => return Ok(None),
            _ => Certificates::Issued(Arc::new(open_leaf_resolver(config, &provider)?)),
        };
        let resolver: Arc<dyn ResolvesServerCert> = match &certificates {
            Certificates::Configured(files) => files.clone(),
            Certificates::Issued(leaves) => leaves.clone(),
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Unusable(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Tls {
            config: Arc::new(config),
            certificates,
        }))
    }

    /// The configuration for a connection accepted at the address `local`. Does not wait for the disk. If the server's own
    /// authority issues the certificates, and `local` is a new address of this machine or the certificate is due for
    /// renewal, issues a certificate, which takes about a millisecond. After an error, the next attempt is made ten seconds
    /// later.
    pub fn server_config(&self, local: IpAddr) -> Arc<ServerConfig> {
        if let Certificates::Issued(leaves) = &self.certificates {
            leaves.renew_default_if_needed(local.to_canonical(), SystemTime::now(), Instant::now());
        }
        self.config.clone()
    }

    /// Sets the machine's current host name in multicast DNS. The new name replaces the previous multicast DNS name in the
    /// certificates that the server's own authority issues.
    pub fn set_mdns_name(&self, name: &str) {
        if let Certificates::Issued(leaves) = &self.certificates {
            leaves.set_mdns_name(name, SystemTime::now(), Instant::now());
        }
    }

    /// The server's own authority, unless the operator configured a certificate.
    pub fn authority(&self) -> Option<&Authority> {
        match &self.certificates {
            Certificates::Configured(_) => None,
            Certificates::Issued(leaves) => Some(leaves.authority()),
        }
    }
}

/// Loads or creates the server's own authority, and returns the resolver that issues its certificates. Logs a warning for
/// each of the machine's names that a loaded authority does not permit.
fn open_leaf_resolver(
    config: &Config,
    provider: &Arc<CryptoProvider>,
) -> Result<LeafResolver, TlsError> {
    let host = address::host_name()
        .trim_end_matches('.')
        .to_ascii_lowercase();
    let names = server_names(&host, &config.host_name);
    let authority = authority_file::load_or_create(&config.state_file, &host, &names, provider)?;
    for name in names.iter().filter(|name| !permits(&authority, name)) {
        tracing::warn!(
            "the certificate authority \"{}\" was created before this machine had the name {name}, so phones will not trust \
             the secure page under that name",
            authority.name()
        );
    }
    LeafResolver::new(authority, names, provider.clone())
        .map_err(|error| TlsError::Unusable(error.to_string()))
}

/// Whether the authority's name constraints permit certificates for `name`, which may be an address.
fn permits(authority: &Authority, name: &str) -> bool {
    match name.parse() {
        Ok(address) => authority.permits_address(address),
        Err(_) => authority.permits_name(name),
    }
}

/// Domains in which multicast DNS or the DNS server of a router may have the machine's host name.
const HOST_NAME_DOMAINS: [&str; 4] = ["local", "lan", "home.arpa", "internal"];

/// The machine's names: host name, host name in the local domains, `localhost`, and the configured names, which may be
/// addresses.
fn server_names(host: &str, configured: &[String]) -> Vec<String> {
    let label = host.split('.').next().unwrap_or(host);
    let own = HOST_NAME_DOMAINS
        .map(|domain| format!("{label}.{domain}"))
        .into_iter()
        .chain([host.to_owned(), "localhost".to_owned()]);
    let configured = configured
        .iter()
        .map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    let mut names: Vec<String> = own.chain(configured).collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}
