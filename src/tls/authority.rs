//! This server's own small certificate authority: a root that is made once and kept beside the state file, and what it signs.
//! It speaks for private addresses and local names alone (name constraints, RFC 5280, 4.2.1.10), so that a phone that trusts
//! it gives away nothing but this house. Which certificate is needed when is `leaf`'s business.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::profile;
use crate::store::{AUTHORITY, UNFINISHED, beside, folder_of, unfinished};

/// Names that no public name server answers for, each with all names below it.
const LOCAL_NAMES: [&str; 5] = ["local", "lan", "home.arpa", "internal", "localhost"];

/// Networks that exist in every house anew: RFC 1918, 3927, 6598, 4193, 4291, and loopback. Address and prefix length.
const LOCAL_NETWORKS: [(IpAddr, u8); 9] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];

/// A phone's clock may be behind by so much.
const BEHIND: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// A leaf holds for so long after it was made: with `BEHIND` 397 days, which is what the strictest of clients put up with.
const LIFETIME: Duration = Duration::from_secs(395 * 24 * 60 * 60);

/// The longest part of a host's name in the authority's: X.520 allows 64 characters for the whole.
const LONGEST_HOST: usize = 40;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file is there, and is not an authority's. It is left alone, because phones trust what it was.
    #[error(
        "{path}, which phones may trust as this server's own certificate authority, is damaged: {why}. \
         Mend it from a copy, or remove it to have a new one made, which each phone must then install anew"
    )]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file cannot be read or written.
    #[error("cannot keep the certificate authority in {path}: {error}")]
    Unusable {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// No key could be made.
    #[error("cannot make a certificate authority: {0}")]
    Crypto(#[from] rcgen::Error),
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The subject of the certificate.
    name: String,
    /// What it speaks for besides what is local: names, and addresses as text.
    names: Vec<String>,
    /// PEM.
    certificate: String,
    /// PEM.
    key: String,
}

/// The root, and the key that signs in its name.
pub struct Authority {
    kept: Kept,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("name", &self.kept.name)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// The authority beside `state_file`; made if there is none, for a machine called `host` that goes by `names` too.
    ///
    /// # Errors
    /// [`AuthorityError`]; what is there is never replaced.
    pub fn open(
        state_file: &Path,
        host: &str,
        names: &[String],
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, AuthorityError> {
        let path = beside(state_file, AUTHORITY);
        let unusable = |error| AuthorityError::Unusable {
            path: path.clone(),
            error,
        };
        match fs::read(&path) {
            Ok(bytes) => {
                keep_private(&path);
                Authority::parse(&bytes, provider).map_err(|why| AuthorityError::Damaged {
                    path: path.clone(),
                    why,
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Authority::make(host, names)?;
                write(&path, &unfinished(state_file), &made.kept).map_err(unusable)?;
                tracing::info!("made \"{}\", kept in {}", made.name(), path.display());
                Ok(made)
            }
            Err(error) => Err(unusable(error)),
        }
    }

    fn make(host: &str, names: &[String]) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        // A new one under an old one's name would be taken for it, by people and by phones.
        let mark: String = Sha256::digest(key.public_key_raw())[..3]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let host: String = host.chars().take(LONGEST_HOST).collect();
        let others = names.iter().filter(|name| !is_local(name));
        let names: Vec<_> = others.cloned().collect();
        let name = format!("Lockstep on {host} ({mark})");
        let mut params = root(&name);
        params.name_constraints = Some(constraints(&names));
        let certificate = params.self_signed(&key)?;
        let kept = Kept {
            name,
            names,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        };
        Ok(Authority {
            kept,
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority in the bytes of a file, or what is wrong with them.
    fn parse(bytes: &[u8], provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let kept: Kept = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let certificate = CertificateDer::from_pem_slice(kept.certificate.as_bytes())
            .map_err(|error| format!("its certificate: {error}"))?;
        let key = KeyPair::from_pem(&kept.key).map_err(|error| format!("its key: {error}"))?;
        let authority = Authority {
            issuer: Issuer::new(root(&kept.name), key),
            kept,
            certificate,
        };
        authority.check(provider)?;
        Ok(authority)
    }

    /// Whether what it signs is believed by who trusts it.
    fn check(&self, provider: &Arc<CryptoProvider>) -> Result<(), String> {
        let now = SystemTime::now();
        let names: Vec<_> = ["localhost".to_owned()]
            .into_iter()
            .chain(self.kept.names.iter().cloned())
            .collect();
        let leaf = self
            .issue(&names, &[], now, provider)
            .map_err(|error| error.to_string())?;
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.clone())
            .map_err(|error| format!("its certificate: {error}"))?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone()).build();
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH);
        verifier
            .map_err(|error| error.to_string())?
            .verify_server_cert(
                &leaf.cert[0],
                &[],
                &ServerName::try_from("localhost").map_err(|error| error.to_string())?,
                &[],
                UnixTime::since_unix_epoch(since_epoch.unwrap_or_default()),
            )
            .map_err(|error| format!("what its key signs does not fit its certificate: {error}"))?;
        Ok(())
    }

    /// What people read of it: on a phone's list, and in the page's steps.
    pub fn name(&self) -> &str {
        &self.kept.name
    }

    /// The SHA-256 of the root's certificate, as phones show it.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest(&self.certificate);
        let bytes: Vec<_> = hash.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }

    /// The root's certificate, as DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The root's certificate as a configuration profile, which iPhones and iPads install.
    pub fn profile(&self) -> String {
        profile::of(&self.kept.name, &self.certificate, &self.kept.certificate)
    }

    /// Whether phones believe what it says about that name.
    pub fn speaks_for_name(&self, name: &str) -> bool {
        is_local(name) || self.kept.names.iter().any(|own| is_below(name, own))
    }

    /// Whether phones believe what it says about that address.
    pub fn speaks_for_address(&self, address: IpAddr) -> bool {
        let own = |name: &String| name.parse() == Ok(address);
        LOCAL_NETWORKS
            .iter()
            .any(|(network, length)| within(address, *network, *length))
            || self.kept.names.iter().any(own)
    }

    /// A new key, and a certificate for these names and addresses that holds from about `now` on; those that it does not speak
    /// for are left out, since one of them would make phones refuse all.
    ///
    /// # Errors
    /// What kept it from being made.
    pub(super) fn issue(
        &self,
        names: &[String],
        addresses: &[IpAddr],
        now: SystemTime,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, IssueError> {
        let names = names
            .iter()
            .filter(|name| name.parse::<IpAddr>().is_err() && self.speaks_for_name(name))
            .filter_map(|name| Some(SanType::DnsName(name.as_str().try_into().ok()?)));
        let addresses = addresses
            .iter()
            .filter(|address| self.speaks_for_address(**address))
            .map(|address| SanType::IpAddress(*address));
        let since_epoch = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();

        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("Lockstep");
        params.subject_alt_names = names.chain(addresses).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time_ymd(1970, 1, 1) + since_epoch.saturating_sub(BEHIND);
        params.not_after = date_time_ymd(1970, 1, 1) + since_epoch + LIFETIME;
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(IssueError::Key)?;
        Ok(CertifiedKey::from_der(
            vec![leaf.der().clone()],
            key,
            provider,
        )?)
    }
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssueError {
    #[error(transparent)]
    Signing(#[from] rcgen::Error),
    #[error(transparent)]
    Loading(#[from] rustls::Error),
    #[error("{0}")]
    Key(&'static str),
}

/// How long after it was made a leaf is to be replaced: well before phones refuse it.
pub(super) fn ages_after() -> Duration {
    LIFETIME * 2 / 3
}

/// The root, but for what it speaks for. It outlives every phone; `2049` is the last year that the short form of dates has.
fn root(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Lockstep");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // A machine without a battery may think that it is any year.
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

fn is_local(name: &str) -> bool {
    LOCAL_NAMES.iter().any(|base| is_below(name, base))
}

/// As name constraints have it: `base` itself, and whatever has more labels to its left.
fn is_below(name: &str, base: &str) -> bool {
    let rest = name.strip_suffix(base);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn constraints(names: &[String]) -> NameConstraints {
    let networks = LOCAL_NETWORKS
        .iter()
        .map(|(network, length)| CidrSubnet::from_addr_prefix(*network, *length));
    let networks = networks.map(GeneralSubtree::IpAddress);
    let local = LOCAL_NAMES.map(|name| GeneralSubtree::DnsName(name.into()));
    let own = names.iter().map(|name| match name.parse() {
        Ok(address) => {
            let length = if IpAddr::is_ipv4(&address) { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, length))
        }
        Err(_) => GeneralSubtree::DnsName(name.clone()),
    });
    NameConstraints {
        permitted_subtrees: local.into_iter().chain(own).chain(networks).collect(),
        excluded_subtrees: Vec::new(),
    }
}

fn within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let in_common = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    in_common >= u32::from(length)
}

/// Written whole or not at all, and for its owner's eyes only: so temporary files are made.
fn write(path: &Path, prefix: &str, kept: &Kept) -> io::Result<()> {
    let folder = folder_of(path);
    let mut file = tempfile::Builder::new()
        .prefix(prefix)
        .suffix(UNFINISHED)
        .tempfile_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(kept)?)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    File::open(folder)?.sync_all()
}

/// A copy put back from elsewhere may be readable by others.
fn keep_private(path: &Path) {
    let Ok(found) = fs::metadata(path) else {
        return;
    };
    if found.permissions().mode() & 0o077 != 0 {
        tracing::warn!("{} was readable by others", path.display());
        if let Err(error) = fs::set_permissions(path, Permissions::from_mode(0o600)) {
            tracing::warn!("and it cannot be changed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::client::verify_server_name;
    use rustls::crypto::ring;
    use rustls::server::ParsedCertificate;

    use super::*;

    fn made(names: &[&str]) -> Authority {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        Authority::make("pi", &names).unwrap()
    }

    /// What somebody with the key could sign: a certificate for anything.
    fn signed(authority: &Authority, name: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(2049, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &authority.issuer).unwrap();
        leaf.der().clone()
    }

    /// Whether a client that trusts `authority` believes `leaf` that it is called that.
    fn believes(authority: &Authority, leaf: &CertificateDer<'_>, name: &str) -> bool {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone()).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .unwrap();
        let name = ServerName::try_from(name).unwrap();
        verifier
            .verify_server_cert(leaf, &[], &name, &[], UnixTime::now())
            .is_ok()
    }

    #[test]
    fn nobody_who_trusts_it_believes_what_it_says_of_others() {
        let authority = made(&["pi", "music.example.org", "198.51.100.7"]);
        for (name, believed) in [
            ("pi", true),
            ("pi.local", true),
            ("music.example.org", true),
            ("musicbox.lan", true),
            ("pi.home.arpa", true),
            ("localhost", true),
            ("192.168.1.7", true),
            ("10.200.3.4", true),
            ("172.31.0.1", true),
            ("100.101.102.103", true),
            ("127.0.0.1", true),
            ("fd12::7", true),
            ("fe80::1", true),
            ("::1", true),
            ("198.51.100.7", true),
            ("example.org", false),
            ("bank.example", false),
            ("notlocal", false),
            ("local.example", false),
            ("8.8.8.8", false),
            ("172.32.0.1", false),
            ("192.169.0.1", false),
            ("198.51.100.8", false),
            ("2001:db8::1", false),
            ("::2", false),
        ] {
            let leaf = signed(&authority, name);
            assert_eq!(believes(&authority, &leaf, name), believed, "{name}");
            let speaks = match name.parse() {
                Ok(address) => authority.speaks_for_address(address),
                Err(_) => authority.speaks_for_name(name),
            };
            assert_eq!(speaks, believed, "{name}");
        }
    }

    #[test]
    fn a_name_that_it_does_not_speak_for_spoils_no_certificate() {
        let authority = made(&["pi"]);
        let names = ["pi", "pi.local", "music.example.org"].map(str::to_owned);
        let addresses = ["192.168.1.7", "203.0.113.9"].map(|address| address.parse().unwrap());
        let provider = ring::default_provider();
        let leaf = authority
            .issue(&names, &addresses, SystemTime::now(), &provider)
            .unwrap();
        for (name, believed) in [
            ("pi", true),
            ("pi.local", true),
            ("192.168.1.7", true),
            ("music.example.org", false),
            ("203.0.113.9", false),
            ("other.local", false),
        ] {
            assert_eq!(
                believes(&authority, &leaf.cert[0], name),
                believed,
                "{name}"
            );
        }
    }

    #[test]
    fn a_machine_that_thinks_that_it_is_1970_makes_a_certificate_all_the_same() {
        let authority = made(&["pi"]);
        let provider = ring::default_provider();
        let leaf = authority.issue(&["pi".into()], &[], SystemTime::UNIX_EPOCH, &provider);
        let leaf = leaf.unwrap();
        let parsed = ParsedCertificate::try_from(&leaf.cert[0]).unwrap();
        verify_server_name(&parsed, &ServerName::try_from("pi").unwrap()).unwrap();
    }

    #[test]
    fn what_was_kept_is_the_same_authority_and_two_are_told_apart() {
        let provider = Arc::new(ring::default_provider());
        let authority = made(&["pi"]);
        let kept = serde_json::to_vec(&authority.kept).unwrap();
        let again = Authority::parse(&kept, &provider).unwrap();
        let leaf = again.issue(&["pi".into()], &[], SystemTime::now(), &provider);
        assert!(believes(&authority, &leaf.unwrap().cert[0], "pi"));
        assert_eq!(again.name(), authority.name());
        assert_ne!(made(&["pi"]).name(), authority.name());
    }
}
