//! Who is let in: the code, the tokens, and the price of guessing. Who is paired lives in the
//! room; which request shows the code lives in `http`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::room::KeyHash;

/// Wrong codes that one address may try in a row.
const TRIES: f64 = 10.0;
/// One more try each so often.
const REFILL: Duration = Duration::from_secs(10);
/// Wrong codes from all addresses together, and one more each second.
const TRIES_OF_ALL: f64 = 60.0;
const REFILL_OF_ALL: Duration = Duration::from_secs(1);
/// Wrong codes that one IPv6 network may try, refilled like an address's.
const TRIES_OF_NETWORK: f64 = 200.0;
/// Those who have all their tries back are forgotten once there are so many.
const MOST_REMEMBERED: usize = 4096;

/// Why a code was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is not the code.
    WrongCode,
    /// It was not even looked at, or not answered truly: too many wrong ones before.
    TooManyTries {
        /// When the next try is worth it.
        retry_after: Duration,
    },
}

/// The door.
#[derive(Debug)]
pub struct Pairing {
    code: String,
    guesses: Mutex<Guesses>,
}

impl Pairing {
    /// A door with that code, or six random digits.
    pub fn new(code: Option<String>) -> Self {
        let code = code.unwrap_or_else(|| format!("{:06}", rand::rng().random_range(0..1_000_000)));
        Pairing {
            code,
            guesses: Mutex::default(),
        }
    }

    /// The code, for those who may see it.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Whether `code` lets the device at `address` in.
    ///
    /// # Errors
    /// [`Refused`], which costs that address a try.
    pub fn check(&self, code: &str, address: IpAddr, now: Instant) -> Result<(), Refused> {
        let right = code.trim().as_bytes().ct_eq(self.code.as_bytes()).into();
        self.guesses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .guess(right, address, now)
    }
}

/// A token of 256 random bits, in hex, and its hash.
pub fn new_token() -> (String, KeyHash) {
    let bits: [u8; 32] = rand::rng().random();
    let token = KeyHash(bits).to_string();
    let hash = hash(&token);
    (token, hash)
}

/// The hash that a token is known by.
pub fn hash(token: &str) -> KeyHash {
    KeyHash(Sha256::digest(token.as_bytes()).into())
}

/// The IPv6 /64 that an address is in. One device has all of its addresses to choose from; but so
/// has everybody in the house, so a network may guess a good deal more often than an address.
fn network(address: IpAddr) -> Option<u64> {
    match address {
        IpAddr::V6(v6) => Some((v6.to_bits() >> 64) as u64),
        IpAddr::V4(_) => None,
    }
}

/// Tries left, refilled with time (a token bucket).
#[derive(Debug)]
struct Bucket {
    tries: f64,
    since: Instant,
}

impl Bucket {
    fn full(tries: f64, since: Instant) -> Self {
        Bucket { tries, since }
    }

    fn refill(&mut self, most: f64, per_try: Duration, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        let gained = passed.as_secs_f64() / per_try.as_secs_f64();
        self.tries = (self.tries + gained).min(most);
        self.since = now;
    }

    /// Refuses when no try is left.
    fn check(&self, per_try: Duration) -> Result<(), Refused> {
        if self.tries >= 1.0 {
            return Ok(());
        }
        let retry_after = per_try.mul_f64((1.0 - self.tries).clamp(0.0, 1.0));
        Err(Refused::TooManyTries { retry_after })
    }
}

#[derive(Debug, Default)]
struct Guesses {
    by_address: HashMap<IpAddr, Bucket>,
    by_network: HashMap<u64, Bucket>,
    of_all: Option<Bucket>,
}

impl Guesses {
    fn guess(&mut self, right: bool, from: IpAddr, now: Instant) -> Result<(), Refused> {
        let from = from.to_canonical();
        let all = self.of_all.get_or_insert(Bucket::full(TRIES_OF_ALL, now));
        all.refill(TRIES_OF_ALL, REFILL_OF_ALL, now);
        if let Some(own) = self.by_address.get_mut(&from) {
            own.refill(TRIES, REFILL, now);
            own.check(REFILL)?;
            // Whoever has guessed wrong before counts among the many that guess: not even a right code is
            // looked at, or the common limit would be none.
            if own.tries < TRIES {
                all.check(REFILL_OF_ALL)?;
            }
        }
        if let Some(shared) = network(from).and_then(|network| self.by_network.get_mut(&network)) {
            shared.refill(TRIES_OF_NETWORK, REFILL, now);
            shared.check(REFILL)?;
        }
        if right {
            return Ok(());
        }
        forget_full(&mut self.by_address, TRIES, now);
        forget_full(&mut self.by_network, TRIES_OF_NETWORK, now);
        let own = self.by_address.entry(from);
        own.or_insert(Bucket::full(TRIES, now)).tries -= 1.0;
        if let Some(network) = network(from) {
            let shared = self.by_network.entry(network);
            shared.or_insert(Bucket::full(TRIES_OF_NETWORK, now)).tries -= 1.0;
        }
        all.check(REFILL_OF_ALL)?;
        all.tries -= 1.0;
        Err(Refused::WrongCode)
    }
}

fn forget_full<K>(buckets: &mut HashMap<K, Bucket>, most: f64, now: Instant) {
    if buckets.len() >= MOST_REMEMBERED {
        buckets.retain(|_, bucket| {
            bucket.refill(most, REFILL, now);
            bucket.tries < most
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 168, 0, n])
    }

    fn door() -> Pairing {
        Pairing::new(Some("123456".into()))
    }

    #[test]
    fn ten_wrong_codes_shut_one_address_out_until_its_bucket_refills() {
        let (door, start) = (door(), Instant::now());
        for _ in 0..10 {
            assert_eq!(
                door.check("000000", address(1), start),
                Err(Refused::WrongCode)
            );
        }
        let refused = door.check("123456", address(1), start);
        assert_eq!(
            refused,
            Err(Refused::TooManyTries {
                retry_after: REFILL
            })
        );
        assert_eq!(door.check("123456", address(2), start), Ok(()));
        assert_eq!(door.check("123456", address(1), start + REFILL), Ok(()));
    }

    #[test]
    fn many_addresses_together_get_sixty_wrong_codes_a_minute() {
        let (door, start) = (door(), Instant::now());
        let answers: Vec<_> = (0..70)
            .map(|n| door.check("000000", address(n), start))
            .collect();
        assert!(answers[..60].iter().all(|a| *a == Err(Refused::WrongCode)));
        assert!(
            answers[60..]
                .iter()
                .all(|a| matches!(a, Err(Refused::TooManyTries { .. })))
        );
        let guesser = door.check("123456", address(1), start);
        assert!(matches!(guesser, Err(Refused::TooManyTries { .. })));
        assert_eq!(door.check("123456", address(200), start), Ok(()));
    }

    #[test]
    fn a_device_with_many_ipv6_addresses_does_not_get_ten_tries_with_each() {
        let (door, mut now) = (door(), Instant::now());
        let guess =
            |n: u16, code, now| door.check(code, IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 1, n]), now);
        for n in 0..300 {
            // Slowly, so that the common limit is not what ends it.
            now += REFILL_OF_ALL;
            assert!(guess(n, "000000", now).is_err());
        }
        let right = guess(1000, "123456", now);
        assert!(matches!(right, Err(Refused::TooManyTries { .. })));
    }

    #[test]
    fn a_phone_that_guesses_does_not_hold_back_its_neighbours_in_the_same_ipv6_network() {
        let (door, start) = (door(), Instant::now());
        let neighbour = |n: u16| IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 0, n]);
        for _ in 0..20 {
            assert!(door.check("000000", neighbour(1), start).is_err());
        }
        assert_eq!(door.check("123456", neighbour(2), start), Ok(()));
    }

    #[test]
    fn a_random_code_has_six_digits() {
        let door = Pairing::new(None);
        assert!(door.code().len() == 6 && door.code().bytes().all(|b| b.is_ascii_digit()));
    }
}
