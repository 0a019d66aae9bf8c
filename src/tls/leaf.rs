//! The certificate that this server shows in its own authority's name: for the addresses and names that it has, made anew
//! when it is asked by one that is not among them, or when it ages. Nothing looks for changes: whoever comes by a new address
//! is the first to need it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::authority::{self, Authority, IssueError};

/// So many names that somebody called this server by are remembered, besides those that it knows to be its own. A router may
/// give it one that it does not know.
const MOST_CALLED: usize = 8;

/// The certificate in use.
#[derive(Debug)]
struct Leaf {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    made: SystemTime,
}

impl Leaf {
    /// Aged, or from a time that has not come: a clock was set.
    fn is_due(&self, now: SystemTime) -> bool {
        match now.duration_since(self.made) {
            Ok(age) => age > authority::ages_after(),
            Err(_) => true,
        }
    }
}

#[derive(Debug)]
struct Inner {
    leaf: Leaf,
    /// What the network calls it, as far as this machine has seen to that.
    announced: Option<String>,
    /// The names of [`MOST_CALLED`], the latest last.
    called: VecDeque<String>,
}

/// The authority, and the certificate in use.
#[derive(Debug)]
pub(super) struct Leaves {
    authority: Authority,
    provider: Arc<CryptoProvider>,
    names: Vec<String>,
    inner: Mutex<Inner>,
}

impl Leaves {
    /// For a machine that goes by `names`, some of which may be addresses.
    pub(super) fn new(
        authority: Authority,
        names: Vec<String>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, IssueError> {
        let (now, addresses) = (SystemTime::now(), addresses(&names, None));
        let key = authority.issue(&names, &addresses, now, &provider)?;
        let leaf = Leaf {
            key: Arc::new(key),
            names: names.clone(),
            addresses,
            made: now,
        };
        let inner = Inner {
            leaf,
            announced: None,
            called: VecDeque::new(),
        };
        Ok(Leaves {
            authority,
            provider,
            names,
            inner: Mutex::new(inner),
        })
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that the certificate holds now, and for whoever came by `local`.
    pub(super) fn cover(&self, local: IpAddr, now: SystemTime) {
        let mut inner = self.lock();
        let known = inner.leaf.addresses.contains(&local);
        if inner.leaf.is_due(now) || (!known && self.authority.speaks_for_address(local)) {
            self.renew(&mut inner, Some(local), now);
        }
    }

    /// See [`super::Tls::goes_by`].
    pub(super) fn goes_by(&self, name: &str, now: SystemTime) {
        let mut inner = self.lock();
        inner.announced = Some(name.to_ascii_lowercase());
        self.renew(&mut inner, None, now);
    }

    /// The certificate for somebody who calls this server by `name`.
    fn called_by(&self, name: Option<&str>, now: SystemTime) -> Arc<CertifiedKey> {
        let mut inner = self.lock();
        if let Some(name) = name {
            let name = name.to_ascii_lowercase();
            if !inner.leaf.names.contains(&name) && self.authority.speaks_for_name(&name) {
                if inner.called.len() == MOST_CALLED {
                    inner.called.pop_front();
                }
                inner.called.push_back(name);
                self.renew(&mut inner, None, now);
            }
        }
        inner.leaf.key.clone()
    }

    fn renew(&self, inner: &mut Inner, local: Option<IpAddr>, now: SystemTime) {
        let own = self.names.iter().chain(&inner.announced);
        let mut names: Vec<_> = own.chain(&inner.called).cloned().collect();
        names.sort_unstable();
        names.dedup();
        let addresses = addresses(&self.names, local);
        match self
            .authority
            .issue(&names, &addresses, now, &self.provider)
        {
            Ok(key) => {
                tracing::debug!("a new certificate, for {names:?} and {addresses:?}");
                inner.leaf = Leaf {
                    key: Arc::new(key),
                    names,
                    addresses,
                    made: now,
                };
            }
            Err(error) => tracing::error!("cannot make a new certificate: {error}"),
        }
    }
}

impl ResolvesServerCert for Leaves {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.called_by(hello.server_name(), SystemTime::now()))
    }
}

/// Every address of this machine, those among `names`, and `local`.
fn addresses(names: &[String], local: Option<IpAddr>) -> Vec<IpAddr> {
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
    use std::time::Duration;

    use rustls::crypto::ring;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn leaves() -> Leaves {
        let folder = tempfile::tempdir().unwrap();
        let provider = Arc::new(ring::default_provider());
        let state_file = folder.path().join("state.json");
        let names = vec!["pi".to_owned()];
        let authority = Authority::open(&state_file, "pi", &names, &provider).unwrap();
        Leaves::new(authority, names, provider).unwrap()
    }

    #[test]
    fn a_certificate_is_kept_until_it_ages_or_the_clock_is_set_back() {
        let leaves = leaves();
        let in_use = || leaves.lock().leaf.key.clone();
        let (local, now) = ("127.0.0.1".parse().unwrap(), SystemTime::now());
        let first = in_use();
        leaves.cover(local, now);
        leaves.cover(local, now + 200 * DAY);
        assert!(Arc::ptr_eq(&first, &in_use()));
        leaves.cover(local, now + 270 * DAY);
        let second = in_use();
        assert!(!Arc::ptr_eq(&first, &second), "it has aged");
        leaves.cover(local, now);
        assert!(!Arc::ptr_eq(&second, &in_use()), "it is of a time to come");
    }

    #[test]
    fn whatever_it_is_called_its_own_names_stay_in_the_certificate() {
        let leaves = leaves();
        let now = SystemTime::now();
        leaves.goes_by("lockstep.local", now);
        leaves.goes_by("Lockstep-2.local", now);
        for n in 0..3 * MOST_CALLED {
            leaves.called_by(Some(&format!("n{n}.local")), now);
            let names = leaves.lock().leaf.names.clone();
            for own in ["pi", "lockstep-2.local", &format!("n{n}.local")] {
                assert!(names.iter().any(|name| name == own), "{own} in {names:?}");
            }
            assert!(names.len() <= 2 + MOST_CALLED, "{names:?}");
        }
    }

    #[test]
    fn a_new_address_has_a_new_certificate_made_and_a_public_one_none() {
        let leaves = leaves();
        let in_use = || leaves.lock().leaf.key.clone();
        let now = SystemTime::now();
        let first = in_use();
        leaves.cover("203.0.113.9".parse().unwrap(), now);
        assert!(Arc::ptr_eq(&first, &in_use()));
        leaves.cover("192.168.77.77".parse().unwrap(), now);
        let second = in_use();
        assert!(!Arc::ptr_eq(&first, &second));
        leaves.cover("192.168.77.77".parse().unwrap(), now);
        assert!(Arc::ptr_eq(&second, &in_use()));
    }
}
