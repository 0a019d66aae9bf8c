//! The pairing code, the rate limits on wrong codes, and device tokens. The list of paired devices is part of the room
//! ([`crate::room`]), and [`crate::http`] decides which clients may read the code.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::room::TokenHash;
use crate::token_bucket::TokenBucket;

/// The number of wrong codes that one address may send at once, and the interval after which the address may send one more.
const ADDRESS_BURST: u32 = 10;
const ADDRESS_INTERVAL: Duration = Duration::from_secs(10);
/// The same limits for all addresses together.
const TOTAL_BURST: u32 = 60;
const TOTAL_INTERVAL: Duration = Duration::from_secs(1);
/// The same limits for one IPv6 network.
const NETWORK_BURST: u32 = 200;
const NETWORK_INTERVAL: Duration = Duration::from_secs(10);
/// When the token buckets of this many addresses, or networks, are stored, the full buckets are removed.
const CLEANUP_THRESHOLD: usize = 4096;

/// Why a pairing code was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingError {
    /// The code is wrong.
    WrongCode,
    /// Too many wrong codes were sent before, so this code was refused even if it is right.
    TooManyAttempts {
        /// Time until a code can be accepted again.
        retry_after: Duration,
    },
}

impl PairingError {
    fn too_many(retry_after: Duration) -> Self {
        PairingError::TooManyAttempts { retry_after }
    }
}

/// The pairing code, and the rate limits on wrong codes.
pub struct Pairing {
    code: Mutex<String>,
    /// Whether the code was configured, and stays.
    is_fixed: bool,
    /// Shared by all rooms, so that more rooms do not permit more wrong codes.
    limits: Arc<Mutex<AttemptLimits>>,
}

impl fmt::Debug for Pairing {
    /// Leaves out the pairing code, which must not be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pairing").finish_non_exhaustive()
    }
}

impl Pairing {
    /// Uses the configured `code`, or six random digits without one.
    pub fn new(code: Option<String>) -> Self {
        Pairing {
            is_fixed: code.is_some(),
            code: Mutex::new(code.unwrap_or_else(random_code)),
            limits: Arc::default(),
        }
    }

    /// A random code for another room, with the same limits. It is none of the codes `taken`.
    pub fn for_another_room(&self, taken: &[String]) -> Self {
        let mut code = random_code();
        while taken.contains(&code) {
            code = random_code();
        }
        Pairing {
            is_fixed: false,
            code: Mutex::new(code),
            limits: self.limits.clone(),
        }
    }

    /// The pairing code. The caller decides which clients may read it.
    pub fn code(&self) -> String {
        self.lock_code().clone()
    }

    /// Replaces the code by another random one, and returns it; `None` if the code was configured. The caller decides which
    /// clients may do this.
    pub fn renew(&self) -> Option<String> {
        if self.is_fixed {
            return None;
        }
        let mut code = self.lock_code();
        let old = code.clone();
        while *code == old {
            *code = random_code();
        }
        Some(code.clone())
    }

    fn lock_code(&self) -> MutexGuard<'_, String> {
        self.code.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares `code`, sent from `address`, with the pairing code.
    ///
    /// # Errors
    /// [`PairingError`]; a wrong code counts against the limits of the address.
    pub fn check(&self, code: &str, address: IpAddr, now: Instant) -> Result<(), PairingError> {
        let right = self.code();
        let is_right = code.trim().as_bytes().ct_eq(right.as_bytes()).into();
        self.limits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .check_attempt(is_right, address, now)
    }
}

fn random_code() -> String {
    format!("{:06}", rand::rng().random_range(0..1_000_000))
}

/// A device token of 256 random bits, in hex, and its hash.
pub fn new_token() -> (String, TokenHash) {
    let bits: [u8; 32] = rand::rng().random();
    let token = TokenHash(bits).to_string();
    let hash = hash_token(&token);
    (token, hash)
}

/// The SHA-256 hash that the state file stores instead of a token.
pub fn hash_token(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}

/// The /64 network of an IPv6 address; `None` for IPv4. One device can use every address of its network, so there is also a
/// limit for each network. All devices in a house share one network, so this limit is higher than the limit for an address.
fn ipv6_network(address: IpAddr) -> Option<u64> {
    match address {
        IpAddr::V6(v6) => Some((v6.to_bits() >> 64) as u64),
        IpAddr::V4(_) => None,
    }
}

/// The token buckets that limit wrong codes. An address or a network without an entry has sent no wrong code recently.
#[derive(Debug, Default)]
pub(crate) struct AttemptLimits {
    by_address: HashMap<IpAddr, TokenBucket>,
    by_network: HashMap<u64, TokenBucket>,
    total: Option<TokenBucket>,
}

impl AttemptLimits {
    /// Applies the limits to one request to pair, before it is known whether the code is right.
    ///
    /// # Errors
    /// [`PairingError::TooManyAttempts`]
    pub(crate) fn check_blocked(
        &mut self,
        address: IpAddr,
        now: Instant,
    ) -> Result<(), PairingError> {
        let address = address.to_canonical();
        let total = TokenBucket::full(TOTAL_BURST, TOTAL_INTERVAL, now);
        let total = self.total.get_or_insert(total);
        total.refill(now);
        if let Some(bucket) = self.by_address.get_mut(&address) {
            bucket.refill(now);
            bucket.check().map_err(PairingError::too_many)?;
            // The total limit also applies to a right code, so that the responses do not reveal to an attacker with many
            // addresses which guess is right. The limit does not apply to addresses that have sent no wrong code recently,
            // so that other devices can still pair.
            if !bucket.is_full() {
                total.check().map_err(PairingError::too_many)?;
            }
        }
        let network = ipv6_network(address);
        if let Some(bucket) = network.and_then(|network| self.by_network.get_mut(&network)) {
            bucket.refill(now);
            bucket.check().map_err(PairingError::too_many)?;
        }
        Ok(())
    }

    /// Applies the limits to one request to pair, and counts the code if it is wrong.
    ///
    /// # Errors
    /// [`PairingError`]
    pub(crate) fn check_attempt(
        &mut self,
        is_right: bool,
        address: IpAddr,
        now: Instant,
    ) -> Result<(), PairingError> {
        self.check_blocked(address, now)?;
        match is_right {
            true => Ok(()),
            false => Err(self.count_wrong(address, now)),
        }
    }

    /// Counts a wrong code, and returns how it is refused.
    pub(crate) fn count_wrong(&mut self, address: IpAddr, now: Instant) -> PairingError {
        let address = address.to_canonical();
        let network = ipv6_network(address);
        remove_full_buckets(&mut self.by_address, now);
        remove_full_buckets(&mut self.by_network, now);
        self.by_address
            .entry(address)
            .or_insert_with(|| TokenBucket::full(ADDRESS_BURST, ADDRESS_INTERVAL, now))
            .take();
        if let Some(network) = network {
            self.by_network
                .entry(network)
                .or_insert_with(|| TokenBucket::full(NETWORK_BURST, NETWORK_INTERVAL, now))
                .take();
        }
        let total = TokenBucket::full(TOTAL_BURST, TOTAL_INTERVAL, now);
        let total = self.total.get_or_insert(total);
        total.refill(now);
        if let Err(retry_after) = total.check() {
            return PairingError::too_many(retry_after);
        }
        total.take();
        PairingError::WrongCode
    }

    /// Takes back that a code counted as wrong, which turned out to be right. `counted` is what [`AttemptLimits::count_wrong`] has
    /// returned.
    pub(crate) fn forgive(&mut self, address: IpAddr, counted: PairingError) {
        let address = address.to_canonical();
        let network = ipv6_network(address);
        let network = network.and_then(|network| self.by_network.get_mut(&network));
        let total = self.total.as_mut();
        let total = total.filter(|_| counted == PairingError::WrongCode);
        let buckets = [self.by_address.get_mut(&address), network, total];
        for bucket in buckets.into_iter().flatten() {
            bucket.give_back();
        }
    }
}

/// Removes the full buckets if there are many buckets, to limit the memory for wrong codes from many addresses.
fn remove_full_buckets<K>(buckets: &mut HashMap<K, TokenBucket>, now: Instant) {
    if buckets.len() >= CLEANUP_THRESHOLD {
        buckets.retain(|_, bucket| {
            bucket.refill(now);
            !bucket.is_full()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 168, 0, n])
    }

    fn pairing() -> Pairing {
        Pairing::new(Some("123456".into()))
    }

    #[test]
    fn ten_wrong_codes_block_an_address_until_its_bucket_refills() {
        let (pairing, start) = (pairing(), Instant::now());
        for _ in 0..10 {
            assert_eq!(
                pairing.check("000000", address(1), start),
                Err(PairingError::WrongCode)
            );
        }
        let blocked = pairing.check("123456", address(1), start);
        assert_eq!(
            blocked,
            Err(PairingError::TooManyAttempts {
                retry_after: ADDRESS_INTERVAL
            })
        );
        assert_eq!(pairing.check("123456", address(2), start), Ok(()));
        let later = start + ADDRESS_INTERVAL;
        assert_eq!(pairing.check("123456", address(1), later), Ok(()));
    }

    #[test]
    fn all_addresses_together_may_send_sixty_wrong_codes_at_once() {
        let (pairing, start) = (pairing(), Instant::now());
        let results: Vec<_> = (0..70)
            .map(|n| pairing.check("000000", address(n), start))
            .collect();
        assert!(
            results[..60]
                .iter()
                .all(|result| *result == Err(PairingError::WrongCode))
        );
        let is_blocked = |result: &Result<(), PairingError>| {
            matches!(result, Err(PairingError::TooManyAttempts { .. }))
        };
        assert!(results[60..].iter().all(is_blocked));
        assert!(is_blocked(&pairing.check("123456", address(1), start)));
        assert_eq!(pairing.check("123456", address(200), start), Ok(()));
    }

    #[test]
    fn many_ipv6_addresses_of_one_network_share_a_limit() {
        let (pairing, mut now) = (pairing(), Instant::now());
        let attempt = |n: u16, code, now| {
            pairing.check(code, IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 1, n]), now)
        };
        for n in 0..300 {
            // One code per interval does not reach the total limit.
            now += TOTAL_INTERVAL;
            assert!(attempt(n, "000000", now).is_err());
        }
        let right = attempt(1000, "123456", now);
        assert!(matches!(right, Err(PairingError::TooManyAttempts { .. })));
    }

    #[test]
    fn a_guessing_phone_does_not_block_others_in_its_ipv6_network() {
        let (pairing, start) = (pairing(), Instant::now());
        let neighbour = |n: u16| IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 0, n]);
        for _ in 0..20 {
            assert!(pairing.check("000000", neighbour(1), start).is_err());
        }
        assert_eq!(pairing.check("123456", neighbour(2), start), Ok(()));
    }

    #[test]
    fn only_a_random_code_can_be_renewed() {
        let pairing = Pairing::new(None);
        let (old, new) = (pairing.code(), pairing.renew().unwrap());
        assert_ne!(old, new);
        let (address, now) = (address(1), Instant::now());
        assert_eq!(pairing.check(&new, address, now), Ok(()));
        let result = pairing.check(&old, address, now);
        assert_eq!(result, Err(PairingError::WrongCode));
        assert_eq!(super::Pairing::new(Some("party".into())).renew(), None);
    }

    #[test]
    fn a_random_code_has_six_digits() {
        let pairing = Pairing::new(None);
        assert!(pairing.code().len() == 6 && pairing.code().bytes().all(|b| b.is_ascii_digit()));
    }
}
