//! This server's own certificate authority: a root certificate that phones install, and the server certificates signed with
//! its key. Name constraints limit the authority to local names, private addresses and the names that the operator
//! configured, so that a stolen key of the authority cannot be used to impersonate other sites to the phones that trust the
//! authority.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use super::authority_file::StoredAuthority;
use super::name_constraints::PermittedSubtrees;
use super::profile;

/// The maximum time by which a phone's clock may be behind the server's clock. Certificates are valid from this long before
/// their issue.
const MAX_CLOCK_LAG: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// The time for which a server certificate is valid after its issue. Together with [`MAX_CLOCK_LAG`], the validity is 397
/// days; Apple's clients accept at most 398 days.
const VALIDITY: Duration = Duration::from_secs(395 * 24 * 60 * 60);
/// The age at which a server certificate is replaced by a new one.
pub(super) const RENEWAL_AGE: Duration = Duration::from_secs(VALIDITY.as_secs() * 2 / 3);

/// Maximum number of characters of the host name in the authority's name, because a common name may have at most 64
/// characters in total (RFC 5280, appendix A.1).
const MAX_HOST_CHARS: usize = 40;

/// The root certificate and its private key.
pub struct Authority {
    stored: StoredAuthority,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    /// Leaves out the private key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("name", &self.stored.name)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Generates a key and a root certificate for a machine with the host name `host`. The name constraints permit `names`
    /// in addition to local names and private addresses.
    pub(super) fn create(host: &str, names: &[String]) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        // Users, and the settings of some phones, distinguish root certificates by name only, so each root certificate gets
        // a unique name.
        let suffix: String = Sha256::digest(key.public_key_raw())[..3]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let host: String = host.chars().take(MAX_HOST_CHARS).collect();
        let name = format!("Lockstep on {host} ({suffix})");
        let permitted = PermittedSubtrees::new(names);
        let mut params = root_params(&name);
        params.name_constraints = Some(permitted.to_extension());
        let certificate = params.self_signed(&key)?;
        let stored = StoredAuthority {
            name,
            permitted,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        };
        Ok(Authority {
            stored,
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Loads the authority from the content of its file.
    ///
    /// # Errors
    /// A description of the problem: the certificate or the key is malformed, or clients would reject certificates signed
    /// with this key.
    pub(super) fn from_stored(
        stored: StoredAuthority,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(stored.certificate.as_bytes())
            .map_err(|error| format!("its certificate is malformed: {error}"))?;
        let key = KeyPair::from_pem(&stored.key)
            .map_err(|error| format!("its key is malformed: {error}"))?;
        let authority = Authority {
            issuer: Issuer::new(root_params(&stored.name), key),
            stored,
            certificate,
        };
        authority.verify(provider)?;
        Ok(authority)
    }

    /// Checks that clients which trust the root certificate accept a server certificate that this authority issues.
    ///
    /// # Errors
    /// A description of the problem.
    fn verify(&self, provider: &Arc<CryptoProvider>) -> Result<(), String> {
        let now = SystemTime::now();
        let mut names = vec!["localhost".to_owned()];
        names.extend_from_slice(self.stored.permitted.configured());
        let leaf = self
            .issue(&names, &[], now, provider)
            .map_err(|error| error.to_string())?;
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.clone())
            .map_err(|error| format!("its certificate cannot be used: {error}"))?;
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
            .map_err(|error| format!("its key does not match its certificate: {error}"))?;
        Ok(())
    }

    /// The content of the authority file.
    pub(super) fn stored(&self) -> &StoredAuthority {
        &self.stored
    }

    /// The common name of the root certificate, as phones display it.
    pub fn name(&self) -> &str {
        &self.stored.name
    }

    /// The SHA-256 fingerprint of the root certificate, in the colon-separated form that phones display.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest(&self.certificate);
        let bytes: Vec<_> = hash.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }

    /// The root certificate, in DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The root certificate as a configuration profile for iPhones and iPads.
    pub fn profile(&self) -> String {
        profile::render(
            &self.stored.name,
            &self.certificate,
            &self.stored.certificate,
        )
    }

    /// Whether the name constraints permit certificates for the DNS name `name`.
    pub fn permits_name(&self, name: &str) -> bool {
        self.stored.permitted.includes_name(name)
    }

    /// Whether the name constraints permit certificates for `address`.
    pub fn permits_address(&self, address: IpAddr) -> bool {
        self.stored.permitted.includes_address(address)
    }

    /// Generates a key and issues a server certificate at the time `now`, for those of `names` and `addresses` that the
    /// name constraints permit, because clients would reject a certificate that also contains other names or addresses.
    ///
    /// # Errors
    /// [`IssueError`].
    pub(super) fn issue(
        &self,
        names: &[String],
        addresses: &[IpAddr],
        now: SystemTime,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, IssueError> {
        let names = names
            .iter()
            .filter(|name| name.parse::<IpAddr>().is_err() && self.permits_name(name))
            .filter_map(|name| Some(SanType::DnsName(name.as_str().try_into().ok()?)));
        let addresses = addresses
            .iter()
            .filter(|address| self.permits_address(**address))
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
        params.not_before = date_time_ymd(1970, 1, 1) + since_epoch.saturating_sub(MAX_CLOCK_LAG);
        params.not_after = date_time_ymd(1970, 1, 1) + since_epoch + VALIDITY;
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

/// Why a server certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssueError {
    #[error(transparent)]
    Signing(#[from] rcgen::Error),
    #[error(transparent)]
    Loading(#[from] rustls::Error),
    #[error("{0}")]
    Key(&'static str),
}

/// The root certificate without its name constraints.
fn root_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Lockstep");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Valid for as long as possible, because a machine without a battery-backed clock may start with any date. Dates after
    // 2049 have another encoding (GeneralizedTime; RFC 5280, 4.1.2.5).
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

#[cfg(test)]
mod tests {
    use rustls::client::verify_server_name;
    use rustls::crypto::ring;
    use rustls::server::ParsedCertificate;

    use super::*;

    fn create(names: &[&str]) -> Authority {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        Authority::create("pi", &names).unwrap()
    }

    /// A certificate for `name` signed with the authority's key, even if the name constraints do not permit `name`.
    fn sign_unchecked(authority: &Authority, name: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(2049, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &authority.issuer).unwrap();
        leaf.der().clone()
    }

    /// Whether a client that trusts `authority` accepts `leaf` for the server `name`.
    fn accepts(authority: &Authority, leaf: &CertificateDer<'_>, name: &str) -> bool {
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
    fn clients_reject_certificates_for_names_outside_the_constraints() {
        let authority = create(&["pi", "music.example.org", "198.51.100.7"]);
        for (name, is_permitted) in [
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
            let leaf = sign_unchecked(&authority, name);
            assert_eq!(accepts(&authority, &leaf, name), is_permitted, "{name}");
            let permits = match name.parse() {
                Ok(address) => authority.permits_address(address),
                Err(_) => authority.permits_name(name),
            };
            assert_eq!(permits, is_permitted, "{name}");
        }
    }

    #[test]
    fn issue_leaves_out_names_outside_the_constraints() {
        let authority = create(&["pi"]);
        let names = ["pi", "pi.local", "music.example.org"].map(str::to_owned);
        let addresses = ["192.168.1.7", "203.0.113.9"].map(|address| address.parse().unwrap());
        let provider = ring::default_provider();
        let leaf = authority
            .issue(&names, &addresses, SystemTime::now(), &provider)
            .unwrap();
        for (name, is_accepted) in [
            ("pi", true),
            ("pi.local", true),
            ("192.168.1.7", true),
            ("music.example.org", false),
            ("203.0.113.9", false),
            ("other.local", false),
        ] {
            assert_eq!(
                accepts(&authority, &leaf.cert[0], name),
                is_accepted,
                "{name}"
            );
        }
    }

    #[test]
    fn issues_a_certificate_while_the_clock_shows_1970() {
        let authority = create(&["pi"]);
        let provider = ring::default_provider();
        let leaf = authority.issue(&["pi".into()], &[], SystemTime::UNIX_EPOCH, &provider);
        let leaf = leaf.unwrap();
        let parsed = ParsedCertificate::try_from(&leaf.cert[0]).unwrap();
        verify_server_name(&parsed, &ServerName::try_from("pi").unwrap()).unwrap();
    }

    #[test]
    fn clients_accept_a_reloaded_authority_and_authority_names_are_unique() {
        let provider = Arc::new(ring::default_provider());
        let authority = create(&["pi"]);
        let json = serde_json::to_vec(authority.stored()).unwrap();
        let stored = serde_json::from_slice(&json).unwrap();
        let reloaded = Authority::from_stored(stored, &provider).unwrap();
        let leaf = reloaded.issue(&["pi".into()], &[], SystemTime::now(), &provider);
        assert!(accepts(&authority, &leaf.unwrap().cert[0], "pi"));
        assert_eq!(reloaded.name(), authority.name());
        assert_ne!(create(&["pi"]).name(), authority.name());
    }
}
