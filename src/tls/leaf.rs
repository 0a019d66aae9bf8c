//! Chooses a server certificate (leaf certificate) of this server's own authority for each TLS handshake. The default
//! certificate contains the machine's names and addresses, and does not depend on the names that clients request. For any
//! other permitted name that a client requests, a certificate is issued at a limited rate. The new certificate is cached if
//! the cache has room. Certificates that are in use stay cached, even if clients request many other names.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::authority::{Authority, IssueError, RENEWAL_AGE};
use crate::token_bucket::TokenBucket;

/// Maximum number of cached certificates for names that are not in the default certificate, such as a name that the router's
/// DNS server has for this machine.
const MAX_REQUESTED_NAMES: usize = 16;
/// A cached certificate may be evicted after this time without use. Long enough that a name which a phone uses every evening
/// keeps its certificate.
const RETENTION: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// The number of certificates for requested names that may be issued at once, and the interval after which one more may be
/// issued. Limited because any client can request any number of names, and a key must be generated for each certificate.
const ISSUE_BURST: u32 = 32;
const ISSUE_INTERVAL: Duration = Duration::from_secs(1);
/// The time from a failed attempt to issue a certificate until the next attempt.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// A certificate is renewed if the clock was set back by more than this since its issue. Smaller differences occur between
/// concurrent handshakes, each of which reads the clock before it takes the lock.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// A server certificate and its key.
#[derive(Debug, Clone)]
struct Leaf {
    certified_key: Arc<CertifiedKey>,
    issued_at: SystemTime,
}

impl Leaf {
    /// Whether the certificate must be renewed, because of its age or because the clock was set back since its issue.
    fn is_renewal_due(&self, now: SystemTime) -> bool {
        match now.duration_since(self.issued_at) {
            Ok(age) => age > RENEWAL_AGE,
            Err(error) => error.duration() > CLOCK_TOLERANCE,
        }
    }
}

/// The certificate for the machine's names and addresses. Clients get this certificate unless they request another permitted
/// name.
#[derive(Debug)]
struct DefaultLeaf {
    leaf: Leaf,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// The certificates in use.
#[derive(Debug)]
struct Leaves {
    default: DefaultLeaf,
    /// The machine's host name in multicast DNS; `None` before the first announcement.
    mdns_name: Option<String>,
    /// Certificates for other names that clients requested, at most [`MAX_REQUESTED_NAMES`], the most recently used last.
    requested: VecDeque<RequestedLeaf>,
    issue_limit: TokenBucket,
    /// No certificate for a requested name is issued before this time.
    issue_retry_at: Option<Instant>,
    /// The default certificate is not renewed before this time.
    renewal_retry_at: Option<Instant>,
}

/// The certificate for a name that clients requested.
#[derive(Debug)]
struct RequestedLeaf {
    name: String,
    leaf: Leaf,
    used_at: Instant,
}

/// Whether the delay after an error is over.
fn may_retry(retry_at: Option<Instant>, now: Instant) -> bool {
    retry_at.is_none_or(|retry_at| now >= retry_at)
}

/// The authority, and the certificates in use.
#[derive(Debug)]
pub(super) struct LeafResolver {
    authority: Authority,
    provider: Arc<CryptoProvider>,
    /// The machine's host name and the configured names; some may be addresses.
    names: Vec<String>,
    /// Every handshake takes this lock, so no certificate is issued while the lock is held.
    leaves: Mutex<Leaves>,
    /// Held while the default certificate is renewed, so that concurrent connections renew it only once.
    renewal: Mutex<()>,
}

impl LeafResolver {
    /// Issues the default certificate. `names` are the machine's host name and the configured names; some may be addresses.
    pub(super) fn new(
        authority: Authority,
        names: Vec<String>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, IssueError> {
        let (now, addresses) = (SystemTime::now(), machine_addresses(&names, None));
        let key = authority.issue(&names, &addresses, now, &provider)?;
        let default = DefaultLeaf {
            leaf: Leaf {
                certified_key: Arc::new(key),
                issued_at: now,
            },
            names: names.clone(),
            addresses,
        };
        let leaves = Leaves {
            default,
            mdns_name: None,
            requested: VecDeque::new(),
            issue_limit: TokenBucket::full(ISSUE_BURST, ISSUE_INTERVAL, Instant::now()),
            issue_retry_at: None,
            renewal_retry_at: None,
        };
        Ok(LeafResolver {
            authority,
            provider,
            names,
            leaves: Mutex::new(leaves),
            renewal: Mutex::new(()),
        })
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    fn leaves(&self) -> MutexGuard<'_, Leaves> {
        lock(&self.leaves)
    }

    /// Renews the default certificate if it is due, or if it does not contain the mDNS name or `local`, the address of this
    /// machine at which a connection was accepted. Checked for each connection, because the system does not notify the server
    /// of a new address.
    pub(super) fn renew_default_if_needed(
        &self,
        local: IpAddr,
        now: SystemTime,
        monotonic_now: Instant,
    ) {
        let must_renew = |leaves: &Leaves| {
            let default = &leaves.default;
            let is_new =
                !default.addresses.contains(&local) && self.authority.permits_address(local);
            let mut mdns_name = leaves.mdns_name.iter();
            let lacks_mdns_name = mdns_name.any(|name| !default.names.contains(name));
            (default.leaf.is_renewal_due(now) || is_new || lacks_mdns_name)
                && may_retry(leaves.renewal_retry_at, monotonic_now)
        };
        if must_renew(&self.leaves()) {
            let _renewal = lock(&self.renewal);
            if must_renew(&self.leaves()) {
                self.renew_default(Some(local), now, monotonic_now);
            }
        }
    }

    /// See [`super::Tls::set_mdns_name`].
    pub(super) fn set_mdns_name(&self, name: &str, now: SystemTime, monotonic_now: Instant) {
        let _renewal = lock(&self.renewal);
        self.leaves().mdns_name = Some(name.to_ascii_lowercase());
        self.renew_default(None, now, monotonic_now);
    }

    /// Renews the default certificate. The caller must hold the lock `renewal`.
    fn renew_default(&self, local: Option<IpAddr>, now: SystemTime, monotonic_now: Instant) {
        let mut names = self.names.clone();
        names.extend(self.leaves().mdns_name.clone());
        names.sort_unstable();
        names.dedup();
        let addresses = machine_addresses(&self.names, local);
        let issued = self.issue(&names, &addresses, now);
        let mut leaves = self.leaves();
        match issued {
            Some(leaf) => {
                leaves.default = DefaultLeaf {
                    leaf,
                    names,
                    addresses,
                };
                leaves.renewal_retry_at = None;
            }
            None => leaves.renewal_retry_at = Some(monotonic_now + RETRY_DELAY),
        }
    }

    /// The certificate for a client that requests the server `name` (RFC 6066, 3): the default certificate if it contains
    /// the name or the client requests no name, otherwise a certificate for the name. If no certificate can be issued now,
    /// the cached one that is due for renewal, if there is one. In all other cases the default certificate, which the
    /// client then rejects.
    fn certificate_for(
        &self,
        name: Option<&str>,
        now: SystemTime,
        monotonic_now: Instant,
    ) -> Arc<CertifiedKey> {
        let name = name.map(str::to_ascii_lowercase);
        let mut leaves = self.leaves();
        let default_certificate = leaves.default.leaf.certified_key.clone();
        let Some(name) = name.filter(|name| {
            !leaves.default.names.contains(name) && self.authority.permits_name(name)
        }) else {
            return default_certificate;
        };
        let fallback = match leaves.requested_leaf(&name, monotonic_now) {
            Some(leaf) if !leaf.is_renewal_due(now) => return leaf.certified_key,
            Some(due_leaf) => due_leaf.certified_key,
            None => default_certificate,
        };
        if !leaves.try_take_issue_token(monotonic_now) {
            return fallback;
        }
        drop(leaves);
        let issued = self.issue(std::slice::from_ref(&name), &[], now);
        let mut leaves = self.leaves();
        match issued {
            Some(leaf) => {
                leaves.cache(name, leaf.clone(), monotonic_now);
                leaf.certified_key
            }
            None => {
                leaves.issue_retry_at = Some(monotonic_now + RETRY_DELAY);
                fallback
            }
        }
    }

    /// Issues a certificate; `None` after an error, which is logged.
    fn issue(&self, names: &[String], addresses: &[IpAddr], now: SystemTime) -> Option<Leaf> {
        match (self.authority).issue(names, addresses, now, &self.provider) {
            Ok(key) => {
                tracing::debug!("issued a certificate for {names:?} and {addresses:?}");
                Some(Leaf {
                    certified_key: Arc::new(key),
                    issued_at: now,
                })
            }
            Err(error) => {
                tracing::error!("cannot issue a certificate: {error}");
                None
            }
        }
    }
}

impl Leaves {
    /// The cached certificate for `name`, which becomes the most recently used one. The certificate may be due for renewal.
    fn requested_leaf(&mut self, name: &str, now: Instant) -> Option<Leaf> {
        let position = (self.requested.iter()).position(|requested| requested.name == name)?;
        let mut requested = self.requested.remove(position)?;
        requested.used_at = now;
        let leaf = requested.leaf.clone();
        self.requested.push_back(requested);
        Some(leaf)
    }

    /// Evicts the least recently used certificate if the cache is full and this certificate has not been used for
    /// [`RETENTION`]. Returns whether another certificate can be cached.
    fn make_room(&mut self, now: Instant) -> bool {
        let oldest = self.requested.front();
        let is_unused =
            oldest.is_some_and(|oldest| now.saturating_duration_since(oldest.used_at) >= RETENTION);
        if self.requested.len() >= MAX_REQUESTED_NAMES && is_unused {
            self.requested.pop_front();
        }
        self.requested.len() < MAX_REQUESTED_NAMES
    }

    /// Takes a token of the rate limit for a certificate for a requested name. Returns whether the certificate may be issued now.
    fn try_take_issue_token(&mut self, now: Instant) -> bool {
        may_retry(self.issue_retry_at, now) && self.issue_limit.try_take(now).is_ok()
    }

    /// Caches a certificate, unless the cache is full of certificates that are in use.
    fn cache(&mut self, name: String, leaf: Leaf, now: Instant) {
        self.requested.retain(|requested| requested.name != name);
        if self.make_room(now) {
            self.requested.push_back(RequestedLeaf {
                name,
                leaf,
                used_at: now,
            });
        }
    }
}

impl ResolvesServerCert for LeafResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certificate_for(hello.server_name(), SystemTime::now(), Instant::now()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The addresses of all interfaces, those among `names`, and `local`.
fn machine_addresses(names: &[String], local: Option<IpAddr>) -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    addresses.extend(names.iter().filter_map(|name| name.parse::<IpAddr>().ok()));
    addresses.extend(local);
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use rustls::crypto::{KeyProvider, ring};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::sign::SigningKey;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn resolver() -> LeafResolver {
        let provider = Arc::new(ring::default_provider());
        let names = vec!["pi".to_owned()];
        let authority = Authority::create("pi", &names).unwrap();
        LeafResolver::new(authority, names, provider).unwrap()
    }

    /// The certificate for a client that requests no name.
    fn default_certificate(resolver: &LeafResolver) -> Arc<CertifiedKey> {
        resolver.certificate_for(None, SystemTime::now(), Instant::now())
    }

    #[test]
    fn renews_an_old_default_certificate_and_one_issued_in_the_future() {
        let resolver = resolver();
        let local = "127.0.0.1".parse().unwrap();
        let (now, start) = (SystemTime::now(), Instant::now());
        let first = default_certificate(&resolver);
        resolver.renew_default_if_needed(local, now, start);
        resolver.renew_default_if_needed(local, now + 200 * DAY, start);
        resolver.renew_default_if_needed(local, now - CLOCK_TOLERANCE, start);
        assert!(Arc::ptr_eq(&first, &default_certificate(&resolver)));
        resolver.renew_default_if_needed(local, now + 270 * DAY, start);
        let second = default_certificate(&resolver);
        assert!(
            !Arc::ptr_eq(&first, &second),
            "the first certificate is too old"
        );
        resolver.renew_default_if_needed(local, now, start);
        let third = default_certificate(&resolver);
        assert!(
            !Arc::ptr_eq(&second, &third),
            "the second certificate was issued in the future"
        );
    }

    #[test]
    fn renews_the_default_certificate_for_a_new_private_address_only() {
        let resolver = resolver();
        let (now, start) = (SystemTime::now(), Instant::now());
        let first = default_certificate(&resolver);
        resolver.renew_default_if_needed("203.0.113.9".parse().unwrap(), now, start);
        assert!(Arc::ptr_eq(&first, &default_certificate(&resolver)));
        resolver.renew_default_if_needed("192.168.77.77".parse().unwrap(), now, start);
        let second = default_certificate(&resolver);
        assert!(!Arc::ptr_eq(&first, &second));
        resolver.renew_default_if_needed("192.168.77.77".parse().unwrap(), now, start);
        assert!(Arc::ptr_eq(&second, &default_certificate(&resolver)));
    }

    #[test]
    fn the_default_certificate_covers_only_the_latest_mdns_name() {
        let resolver = resolver();
        let (now, start) = (SystemTime::now(), Instant::now());
        resolver.set_mdns_name("lockstep.local", now, start);
        resolver.set_mdns_name("Lockstep-2.local", now, start);
        for n in 0..3 * MAX_REQUESTED_NAMES {
            resolver.certificate_for(Some(&format!("n{n}.local")), now, Instant::now());
        }
        assert_eq!(resolver.leaves().default.names, ["lockstep-2.local", "pi"]);
        let certificate = resolver.certificate_for(Some("LOCKSTEP-2.local"), now, Instant::now());
        assert!(Arc::ptr_eq(&certificate, &default_certificate(&resolver)));
    }

    #[test]
    fn limits_the_certificates_issued_for_arbitrary_names() {
        let resolver = resolver();
        let (now, start) = (SystemTime::now(), Instant::now());
        let request = |name: &str, at| resolver.certificate_for(Some(name), now, at);
        let keys: Vec<_> = (0..1000)
            .map(|n| request(&format!("n{n}.local"), start))
            .collect();
        let distinct: HashSet<_> = keys.iter().map(Arc::as_ptr).collect();
        // Beyond the limit, clients get the default certificate, which is the additional one.
        assert_eq!(distinct.len(), ISSUE_BURST as usize + 1);
        assert_eq!(resolver.leaves().requested.len(), MAX_REQUESTED_NAMES);
        let late = request("musicbox.lan", start + ISSUE_INTERVAL);
        assert!(
            !Arc::ptr_eq(&late, &default_certificate(&resolver)),
            "a certificate is issued again after the interval"
        );
    }

    #[test]
    fn requests_for_other_names_evict_no_certificate_in_use() {
        let resolver = resolver();
        let (now, start) = (SystemTime::now(), Instant::now());
        let request = |name: &str, at| resolver.certificate_for(Some(name), now, at);
        let first = request("musicbox.lan", start);
        let mut at = start;
        for n in 0..1000 {
            at += ISSUE_INTERVAL;
            request(&format!("n{n}.local"), at);
        }
        assert!(Arc::ptr_eq(&first, &request("musicbox.lan", at)));

        let later = at + RETENTION;
        let second = request("jukebox.lan", later);
        assert!(
            Arc::ptr_eq(&second, &request("jukebox.lan", later)),
            "an unused certificate was evicted, so the new one is cached"
        );
        assert_eq!(resolver.leaves().requested.len(), MAX_REQUESTED_NAMES);
    }

    #[test]
    fn replaces_a_requested_certificate_only_when_it_ages() {
        let resolver = resolver();
        let (now, start) = (SystemTime::now(), Instant::now());
        let request = |now| resolver.certificate_for(Some("musicbox.lan"), now, start);
        let first = request(now);
        assert!(Arc::ptr_eq(&first, &request(now + 200 * DAY)));
        assert!(!Arc::ptr_eq(&first, &request(now + 270 * DAY)));
    }

    /// Loads private keys only while `works` is set, and counts the attempts.
    #[derive(Debug)]
    struct UnreliableKeys {
        works: AtomicBool,
        attempts: AtomicUsize,
    }

    impl KeyProvider for UnreliableKeys {
        fn load_private_key(
            &self,
            key: PrivateKeyDer<'static>,
        ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            match self.works.load(Ordering::Relaxed) {
                true => ring::default_provider().key_provider.load_private_key(key),
                false => Err(rustls::Error::General("no entropy".into())),
            }
        }
    }

    /// A resolver that cannot issue certificates any more.
    fn failing_resolver() -> (LeafResolver, &'static UnreliableKeys) {
        let keys: &UnreliableKeys = Box::leak(Box::new(UnreliableKeys {
            works: AtomicBool::new(true),
            attempts: AtomicUsize::new(0),
        }));
        let provider = Arc::new(CryptoProvider {
            key_provider: keys,
            ..ring::default_provider()
        });
        let names = vec!["pi".to_owned()];
        let authority = Authority::create("pi", &names).unwrap();
        let resolver = LeafResolver::new(authority, names, provider).unwrap();
        keys.works.store(false, Ordering::Relaxed);
        keys.attempts.store(0, Ordering::Relaxed);
        (resolver, keys)
    }

    #[test]
    fn failed_renewal_is_retried_after_a_delay_and_not_per_connection() {
        let (resolver, keys) = failing_resolver();
        let (now, start) = (SystemTime::now(), Instant::now());
        let local = "192.168.77.77".parse().unwrap();
        resolver.set_mdns_name("lockstep.local", now, start);
        for _ in 0..100 {
            resolver.renew_default_if_needed(local, now, start);
        }
        assert_eq!(keys.attempts.load(Ordering::Relaxed), 1);

        keys.works.store(true, Ordering::Relaxed);
        resolver.renew_default_if_needed(local, now, start + RETRY_DELAY);
        let default = &resolver.leaves().default;
        assert!(default.addresses.contains(&local));
        assert!(default.names.contains(&"lockstep.local".to_owned()));
    }

    #[test]
    fn mdns_name_is_added_at_a_later_connection_after_a_failed_renewal() {
        let (resolver, keys) = failing_resolver();
        let (now, start) = (SystemTime::now(), Instant::now());
        resolver.set_mdns_name("lockstep.local", now, start);
        keys.works.store(true, Ordering::Relaxed);
        resolver.renew_default_if_needed("127.0.0.1".parse().unwrap(), now, start + RETRY_DELAY);
        let certificate = resolver.certificate_for(Some("lockstep.local"), now, start);
        assert!(Arc::ptr_eq(&certificate, &default_certificate(&resolver)));
    }

    #[test]
    fn failed_certificate_for_a_requested_name_is_retried_after_a_delay() {
        let (resolver, keys) = failing_resolver();
        let (now, start) = (SystemTime::now(), Instant::now());
        let request = |at| resolver.certificate_for(Some("musicbox.lan"), now, at);
        for _ in 0..100 {
            assert!(Arc::ptr_eq(
                &request(start),
                &default_certificate(&resolver)
            ));
        }
        assert_eq!(keys.attempts.load(Ordering::Relaxed), 1);

        keys.works.store(true, Ordering::Relaxed);
        let issued = request(start + RETRY_DELAY);
        assert!(!Arc::ptr_eq(&issued, &default_certificate(&resolver)));
    }

    #[test]
    fn answers_a_request_for_a_public_name_with_the_default_certificate() {
        let resolver = resolver();
        let (now, start) = (SystemTime::now(), Instant::now());
        let certificate = resolver.certificate_for(Some("bank.example"), now, start);
        assert!(Arc::ptr_eq(&certificate, &default_certificate(&resolver)));
    }
}
