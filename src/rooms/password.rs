//! Passwords of rooms: Argon2id hashes, and the limit on wrong passwords.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::RngExt;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::pairing::{AttemptLimits, PairingError};

/// The memory in KiB, the passes and the lanes of new hashes: what OWASP recommends for Argon2id. A Raspberry Pi 3 needs a quarter
/// of a second.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// The most memory and passes of a hash in a state file, which a user may have edited.
const MAX_MEMORY_KIB: u32 = 64 * 1024;
const MAX_PASSES: u32 = 16;
const SALT_LENGTH: usize = 16;
const HASH_LENGTH: usize = 32;
/// The longest password, in bytes.
pub(crate) const MAX_PASSWORD: usize = 256;

/// The most passwords that wait to be hashed. Further ones are refused.
const MAX_WAITING: usize = 8;
/// When a refused password may be sent again.
const BUSY_DELAY: Duration = Duration::from_secs(1);

/// Why a password was not hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashError {
    /// Too many passwords wait to be hashed.
    Busy {
        /// When the password may be sent again.
        retry_after: Duration,
    },
    /// The system has not enough memory.
    NoMemory,
}

/// Hashes and checks passwords, one at a time: each needs much memory.
#[derive(Debug)]
pub(crate) struct Passwords {
    limits: Arc<Mutex<AttemptLimits>>,
    hashing: Arc<Semaphore>,
    /// The places of the password that is hashed and of those that wait.
    places: Arc<Semaphore>,
}

/// The right to hash a password now. Moved into the hashing itself, which goes on if the client disconnects.
struct Turn {
    _place: OwnedSemaphorePermit,
    _hashing: OwnedSemaphorePermit,
}

impl Default for Passwords {
    fn default() -> Self {
        Passwords {
            limits: Arc::default(),
            hashing: Arc::new(Semaphore::new(1)),
            places: Arc::new(Semaphore::new(1 + MAX_WAITING)),
        }
    }
}

impl Passwords {
    /// Waits until a password may be hashed; `None` if too many wait already.
    async fn turn(&self) -> Option<Turn> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let hashing = self.hashing.clone().acquire_owned().await.ok()?;
        Some(Turn {
            _place: place,
            _hashing: hashing,
        })
    }

    /// The hash of a new password, as a PHC string.
    ///
    /// # Errors
    /// [`HashError`]
    pub(crate) async fn hash(&self, password: String) -> Result<String, HashError> {
        let retry_after = BUSY_DELAY;
        let turn = self.turn().await.ok_or(HashError::Busy { retry_after })?;
        let salt: [u8; SALT_LENGTH] = rand::rng().random();
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
        let params = params.map_err(|_| HashError::NoMemory)?;
        let hashed = spawn_blocking(move || {
            let hash = compute(&password, &salt, params);
            drop(turn);
            hash
        });
        let hash = hashed.await.ok().flatten().ok_or(HashError::NoMemory)?;
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        Ok(format!(
            "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}"
        ))
    }

    /// Compares a password that was sent from `address` with a hash.
    ///
    /// # Errors
    /// [`PairingError`]; a wrong password counts against the limits of the address. Beyond the limits, nothing is hashed.
    pub(crate) async fn check(
        &self,
        password: String,
        hash: &str,
        address: IpAddr,
    ) -> Result<(), PairingError> {
        // Each attempt is counted before the next one is looked at.
        let busy = PairingError::TooManyAttempts {
            retry_after: BUSY_DELAY,
        };
        let turn = self.turn().await.ok_or(busy)?;
        // The attempt also counts if the client disconnects during the hashing.
        let counted = self.count(address)?;
        let (hash, limits) = (hash.to_owned(), self.limits.clone());
        let compared = spawn_blocking(move || {
            let is_right = password.len() <= MAX_PASSWORD && is_right(&password, &hash);
            if is_right {
                lock(&limits).forgive(address, counted);
            }
            drop(turn);
            is_right
        });
        match compared.await.unwrap_or(false) {
            true => Ok(()),
            false => Err(counted),
        }
    }

    /// Counts a password as wrong. Returns how it is refused if it is wrong.
    ///
    /// # Errors
    /// [`PairingError::TooManyAttempts`] if it must not be looked at.
    fn count(&self, address: IpAddr) -> Result<PairingError, PairingError> {
        let now = Instant::now();
        let mut limits = lock(&self.limits);
        limits.check_blocked(address, now)?;
        Ok(limits.count_wrong(address, now))
    }
}

fn lock(limits: &Mutex<AttemptLimits>) -> MutexGuard<'_, AttemptLimits> {
    limits.lock().unwrap_or_else(PoisonError::into_inner)
}

fn compute(password: &str, salt: &[u8], params: Params) -> Option<[u8; HASH_LENGTH]> {
    let mut hash = [0; HASH_LENGTH];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2
        .hash_password_into(password.as_bytes(), salt, &mut hash)
        .ok()?;
    Some(hash)
}

/// Whether a password has this hash. A text that is no hash fits no password.
fn is_right(password: &str, phc: &str) -> bool {
    let Some((params, salt, expected)) = parse(phc) else {
        return false;
    };
    let computed = compute(password, &salt, params);
    computed.is_some_and(|hash| hash.ct_eq(&expected).into())
}

/// The parameters, the salt and the hash in a PHC string.
fn parse(phc: &str) -> Option<(Params, Vec<u8>, Vec<u8>)> {
    let rest = phc.strip_prefix("$argon2id$v=19$")?;
    let mut parts = rest.split('$');
    let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let mut costs = costs.split(',');
    let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse::<u32>().ok();
    let (memory, passes, lanes) = (cost("m=")?, cost("t=")?, cost("p=")?);
    if memory > MAX_MEMORY_KIB || passes > MAX_PASSES {
        return None;
    }
    let params = Params::new(memory, passes, lanes, None).ok()?;
    let (salt, hash) = (
        STANDARD_NO_PAD.decode(salt).ok()?,
        STANDARD_NO_PAD.decode(hash).ok()?,
    );
    Some((params, salt, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn only_the_right_password_fits_its_hash() {
        let passwords = Passwords::default();
        let hash = passwords.hash("tomato".into()).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(!hash.contains("tomato"));
        let check = |password: &str| passwords.check(password.into(), &hash, ADDRESS);
        assert_eq!(check("tomato").await, Ok(()));
        assert_eq!(check("potato").await, Err(PairingError::WrongCode));
        assert_eq!(check("").await, Err(PairingError::WrongCode));
        let damaged = &hash[..hash.len() - 2];
        assert!(!is_right("tomato", damaged));
        assert!(!is_right("tomato", ""));
    }

    #[test]
    fn a_hash_of_another_program_fits() {
        // echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e
        let hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(is_right("password", hash));
        assert!(!is_right("Password", hash));
    }

    #[tokio::test]
    async fn ten_wrong_passwords_block_an_address() {
        let passwords = Passwords::default();
        let hash = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA";
        let check = || passwords.check("x".into(), hash, ADDRESS);
        for _ in 0..10 {
            assert_eq!(check().await, Err(PairingError::WrongCode));
        }
        let blocked = check().await;
        assert!(matches!(blocked, Err(PairingError::TooManyAttempts { .. })));
    }

    #[tokio::test]
    async fn aborted_attempts_count_and_hash_one_at_a_time() {
        let passwords = Arc::new(Passwords::default());
        let hash = passwords.hash("tomato".into()).await.unwrap();
        let start = |password: &'static str| {
            let (passwords, hash) = (passwords.clone(), hash.clone());
            tokio::spawn(async move { passwords.check(password.into(), &hash, ADDRESS).await })
        };
        for _ in 0..10 {
            let attempt = start("potato");
            while passwords.hashing.available_permits() > 0 && !attempt.is_finished() {
                tokio::task::yield_now().await;
            }
            attempt.abort();
            let _ = attempt.await;
            // The place is taken until the hashing has ended.
            let _ended = passwords.hashing.acquire().await.unwrap();
        }
        let blocked = start("tomato").await.unwrap();
        assert!(matches!(blocked, Err(PairingError::TooManyAttempts { .. })));
    }

    #[tokio::test]
    async fn right_passwords_do_not_count() {
        let passwords = Passwords::default();
        let hash = passwords.hash("tomato".into()).await.unwrap();
        for _ in 0..12 {
            assert_eq!(
                passwords.check("tomato".into(), &hash, ADDRESS).await,
                Ok(())
            );
        }
    }

    #[tokio::test]
    async fn passwords_are_refused_while_too_many_wait() {
        let passwords = Passwords::default();
        let held = passwords.hashing.acquire().await.unwrap();
        let waiting: Vec<_> = (0..=MAX_WAITING)
            .map(|_| passwords.places.try_acquire().unwrap())
            .collect();
        let refused = passwords.check("x".into(), "", ADDRESS).await;
        assert!(matches!(refused, Err(PairingError::TooManyAttempts { .. })));
        let refused = passwords.hash("x".into()).await;
        assert!(matches!(refused, Err(HashError::Busy { .. })));
        drop((held, waiting));
        assert!(passwords.hash("x".into()).await.is_ok());
    }
}
