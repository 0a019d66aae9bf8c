//! HTTPS beside HTTP: with which certificate a phone is answered, one that the host has given or one of this server's own
//! authority. What goes over the connections is `http`'s business.

mod authority;
mod given;
mod leaf;
mod profile;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rustls::crypto::ring;
use rustls::{ServerConfig, ServerConnection};

pub use self::authority::{Authority, AuthorityError};
use self::given::Given;
pub use self::given::GivenError;
use self::leaf::Leaves;
use crate::config::Config;

/// Why there is no HTTPS. Each is one sentence for whoever started the server.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate or the key that the host gave is of no use.
    #[error(transparent)]
    Given(#[from] GivenError),
    /// There is no authority of our own.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// What is right in itself does not work.
    #[error("cannot serve HTTPS: {0}")]
    Unusable(String),
}

#[derive(Debug, Clone)]
enum Certificates {
    Given(Arc<Given>),
    Own(Arc<Leaves>),
}

/// What makes a connection a secure one.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    certificates: Certificates,
}

impl Tls {
    /// As configured; `None` when it is not wanted.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(config: &Config) -> Result<Option<Self>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let certificates = match (&config.tls_cert, &config.tls_key) {
            (Some(certificate), Some(key)) => {
                let paths: [PathBuf; 2] = [certificate.clone(), key.clone()];
                Certificates::Given(Arc::new(Given::open(paths, provider.clone())?))
            }
            _ if !config.tls => return Ok(None),
            _ => {
                let host = host();
                let names = names(&host, &config.host_name);
                let authority = Authority::open(&config.state_file, &host, &names, &provider)?;
                for name in names.iter().filter(|name| !believed(&authority, name)) {
                    tracing::warn!(
                        "\"{}\" was made when this machine did not go by {name}, so no phone will believe it that name",
                        authority.name()
                    );
                }
                let leaves = Leaves::new(authority, names, provider.clone())
                    .map_err(|error| TlsError::Unusable(error.to_string()))?;
                Certificates::Own(Arc::new(leaves))
            }
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Unusable(error.to_string()))?
            .with_no_client_auth();
        let mut config = match &certificates {
            Certificates::Given(given) => builder.with_cert_resolver(given.clone()),
            Certificates::Own(leaves) => builder.with_cert_resolver(leaves.clone()),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Tls {
            config: Arc::new(config),
            certificates,
        }))
    }

    /// This server's side of a connection that came in at the address `local`.
    ///
    /// # Errors
    /// What kept it from being made.
    pub fn accept(&self, local: IpAddr) -> Result<ServerConnection, rustls::Error> {
        match &self.certificates {
            Certificates::Given(given) => given.refresh(Instant::now()),
            Certificates::Own(leaves) => leaves.cover(local.to_canonical(), SystemTime::now()),
        }
        ServerConnection::new(self.config.clone())
    }

    /// The network calls this machine by that name from here on, and no more by the one before it.
    pub fn goes_by(&self, name: &str) {
        if let Certificates::Own(leaves) = &self.certificates {
            leaves.goes_by(name, SystemTime::now());
        }
    }

    /// This server's own authority, if the certificates are its.
    pub fn authority(&self) -> Option<&Authority> {
        match &self.certificates {
            Certificates::Given(_) => None,
            Certificates::Own(leaves) => Some(leaves.authority()),
        }
    }
}

fn believed(authority: &Authority, name: &str) -> bool {
    match name.parse() {
        Ok(address) => authority.speaks_for_address(address),
        Err(_) => authority.speaks_for_name(name),
    }
}

/// What this machine calls itself.
fn host() -> String {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// What phones may call it, addresses among them. Whatever else they call it is learnt when they do.
fn names(host: &str, given: &[String]) -> Vec<String> {
    let own = [
        host.to_owned(),
        format!("{}.local", host.split('.').next().unwrap_or(host)),
        "localhost".to_owned(),
    ];
    let given = given
        .iter()
        .map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    let mut names: Vec<String> = own.into_iter().chain(given).collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}
