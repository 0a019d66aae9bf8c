//! Who is let in: the code, the tokens, and the price of guessing. Who is paired lives in the
//! room; which request shows the code lives in `http`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
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
/// Wrong codes in a minute from all addresses together.
const TRIES_OF_ALL: f64 = 60.0;
/// Addresses with a full bucket are forgotten once there are so many.
const MOST_ADDRESSES: usize = 4096;

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
    window_open: AtomicBool,
    guesses: Mutex<Guesses>,
}

impl Pairing {
    /// A door with that code, or six random digits. While `window` is open, whoever opens the page
    /// is shown the code; the first pairing shuts it.
    pub fn new(code: Option<String>, window: bool) -> Self {
        let code = code.unwrap_or_else(|| format!("{:06}", rand::rng().random_range(0..1_000_000)));
        Pairing {
            code,
            window_open: AtomicBool::new(window),
            guesses: Mutex::default(),
        }
    }

    /// The code, for those who may see it.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Whether the pairing window is open.
    pub fn window_open(&self) -> bool {
        self.window_open.load(Ordering::Relaxed)
    }

    /// Somebody has been paired.
    pub fn shut_window(&self) {
        self.window_open.store(false, Ordering::Relaxed);
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
            .guess(right, network(address), now)
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

/// Who guesses: an IPv4 address, or a whole IPv6 /64, since one device has all of those.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

/// Tries left, refilled with time (a token bucket).
#[derive(Debug)]
struct Bucket {
    tries: f64,
    since: Instant,
}

impl Bucket {
    fn refill(&mut self, most: f64, per_try: Duration, now: Instant) {
        let gained =
            now.saturating_duration_since(self.since).as_secs_f64() / per_try.as_secs_f64();
        self.tries = (self.tries + gained).min(most);
        self.since = now;
    }

    fn retry_after(&self, per_try: Duration) -> Duration {
        per_try.mul_f64((1.0 - self.tries).clamp(0.0, 1.0))
    }
}

#[derive(Debug, Default)]
struct Guesses {
    by_address: HashMap<IpAddr, Bucket>,
    of_all: Option<Bucket>,
}

impl Guesses {
    fn guess(&mut self, right: bool, from: IpAddr, now: Instant) -> Result<(), Refused> {
        if let Some(own) = self.by_address.get_mut(&from) {
            own.refill(TRIES, REFILL, now);
            if own.tries < 1.0 {
                return Err(Refused::TooManyTries {
                    retry_after: own.retry_after(REFILL),
                });
            }
        }
        if right {
            return Ok(());
        }
        if self.by_address.len() >= MOST_ADDRESSES {
            self.by_address.retain(|_, bucket| {
                bucket.refill(TRIES, REFILL, now);
                bucket.tries < TRIES
            });
        }
        let own = self.by_address.entry(from).or_insert(Bucket {
            tries: TRIES,
            since: now,
        });
        own.tries -= 1.0;
        let per_try = Duration::from_secs(60).div_f64(TRIES_OF_ALL);
        let all = self.of_all.get_or_insert(Bucket {
            tries: TRIES_OF_ALL,
            since: now,
        });
        all.refill(TRIES_OF_ALL, per_try, now);
        if all.tries < 1.0 {
            return Err(Refused::TooManyTries {
                retry_after: all.retry_after(per_try),
            });
        }
        all.tries -= 1.0;
        Err(Refused::WrongCode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 168, 0, n])
    }

    fn door() -> Pairing {
        Pairing::new(Some("123456".into()), true)
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
        assert_eq!(door.check("123456", address(200), start), Ok(()));
    }

    #[test]
    fn all_addresses_of_one_ipv6_network_share_their_tries() {
        let (door, start) = (door(), Instant::now());
        for n in 0..10u16 {
            let from = IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 0, n]);
            assert_eq!(door.check("000000", from, start), Err(Refused::WrongCode));
        }
        let from = IpAddr::from([0xfd00, 0, 0, 1, 9, 9, 9, 9]);
        assert!(matches!(
            door.check("123456", from, start),
            Err(Refused::TooManyTries { .. })
        ));
    }

    #[test]
    fn a_random_code_has_six_digits() {
        let door = Pairing::new(None, true);
        assert!(door.code().len() == 6 && door.code().bytes().all(|b| b.is_ascii_digit()));
    }
}
