//! Secrets of accounts: what is kept of them takes long to guess from (Argon2id, RFC 9106), and is computed a few at a
//! time, so that nobody can use up a node by guessing.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};
use micro_sdk::wire::{Code, Fault, Seams};
use std::{fmt, sync::Arc};
use subtle::ConstantTimeEq;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

/// What one guess costs, in KiB and passes: the second of the choices that OWASP's cheat sheet on password storage
/// gives, some 30 ms of a core. Less makes guesses cheap for whoever has a copy of the store, more makes logins slow.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// How many are computed at once: half of the threads that a node has for blocking work, and 38 MiB.
const AT_ONCE: usize = 2;
/// How many may wait for that: a second's worth. More would be late anyway.
const WAITING_MAX: usize = 64;
/// The shortest secret that a person may choose (NIST SP 800-63B, 3.1.1.2, as one of two factors).
pub const SECRET_BYTES_MIN: usize = 8;
/// The longest secret.
pub const SECRET_BYTES_MAX: usize = 1024;
const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// A secret in memory: wiped when dropped, and not printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Encode for Secret {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.as_str().encode(encoder)
    }
}

impl<C> Decode<C> for Secret {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        String::decode(decoder).map(Secret::new)
    }
}

bincode::impl_borrow_decode!(Secret);

impl Secret {
    /// A secret that somebody gave.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }

    /// A secret that nobody guesses: 256 random bits.
    pub(crate) fn generate(seams: &Seams) -> Self {
        let bits: Zeroizing<[u8; 32]> = Zeroizing::new(seams.random());
        Secret::new(URL_SAFE_NO_PAD.encode(bits.as_slice()))
    }

    /// Itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Refuses one that is too short to be any, or longer than a node reads.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let bytes = self.0.len();
        if (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes) {
            return Ok(());
        }
        let message =
            format!("a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, and this one has {bytes}");
        Err(Fault::new(Code::Usage, message).help("leave it away, and the node makes one"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([secret])")
    }
}

/// What is kept of a secret.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SecretHash {
    pub salt: [u8; SALT_BYTES],
    pub hash: [u8; HASH_BYTES],
    pub memory_kib: u32,
    pub passes: u32,
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash([secret])")
    }
}

/// Computes what is kept of secrets. Clones share the bound.
#[derive(Clone)]
pub(crate) struct Hasher {
    seams: Seams,
    waiting: Arc<Semaphore>,
    computing: Arc<Semaphore>,
}

impl Hasher {
    pub fn new(seams: Seams) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Hasher { seams, waiting: semaphore(AT_ONCE + WAITING_MAX), computing: semaphore(AT_ONCE) }
    }

    /// What to keep of a new secret.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if too many wait, or it is not computed by the deadline.
    pub async fn hash(&self, secret: &Secret, deadline: Instant) -> Result<SecretHash, Fault> {
        let salt = self.seams.random();
        let hash = self.compute(secret, salt, MEMORY_KIB, PASSES, deadline).await?;
        Ok(SecretHash { salt, hash, memory_kib: MEMORY_KIB, passes: PASSES })
    }

    /// Whether `secret` is the one that `kept` is of. Takes as long where nothing is kept, so that nobody learns from
    /// the time which accounts there are.
    ///
    /// # Errors
    /// As [`hash`](Self::hash).
    pub async fn matches(
        &self,
        secret: &Secret,
        kept: Option<&SecretHash>,
        deadline: Instant,
    ) -> Result<bool, Fault> {
        let nobody = || SecretHash {
            salt: [0; SALT_BYTES],
            hash: [0; HASH_BYTES],
            memory_kib: MEMORY_KIB,
            passes: PASSES,
        };
        let against = kept.cloned().unwrap_or_else(nobody);
        let SecretHash { salt, hash, memory_kib, passes } = against;
        let computed = self.compute(secret, salt, memory_kib, passes, deadline).await?;
        let same: bool = computed.ct_eq(&hash).into();
        Ok(same && kept.is_some())
    }

    async fn compute(
        &self,
        secret: &Secret,
        salt: [u8; SALT_BYTES],
        memory_kib: u32,
        passes: u32,
        deadline: Instant,
    ) -> Result<[u8; HASH_BYTES], Fault> {
        if secret.0.len() > SECRET_BYTES_MAX {
            return Err(Fault::new(Code::Denied, "the secret is longer than any"));
        }
        let overloaded = || {
            Fault::new(Code::Unavailable, "too many secrets are being checked just now")
                .help("try again later")
        };
        let waiting = self.waiting.clone().try_acquire_owned().map_err(|_| overloaded())?;
        let computing = timeout_at(deadline, self.computing.clone().acquire_owned()).await;
        let computing = computing.map_err(|_| overloaded())?.expect("the semaphore is never closed");
        let (done, computed) = oneshot::channel();
        let secret = secret.clone();
        self.seams.blocking.run(Box::new(move || {
            let hash = argon2id(secret.expose().as_bytes(), &salt, memory_kib, passes);
            // Held until here: a caller that gives up does not make room for another computation.
            drop((computing, waiting));
            drop(done.send(hash));
        }));
        computed.await.map_err(|_| Fault::new(Code::Unavailable, "the node is shutting down"))?
    }
}

fn argon2id(secret: &[u8], salt: &[u8], memory_kib: u32, passes: u32) -> Result<[u8; HASH_BYTES], Fault> {
    let failed =
        |error: argon2::Error| Fault::new(Code::Failed, format!("a secret can't be checked: {error}"));
    let params = Params::new(memory_kib, passes, LANES, Some(HASH_BYTES)).map_err(failed)?;
    let mut hash = [0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret, salt, &mut hash)
        .map_err(failed)?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::seams;
    use micro_sdk::wire::{Blocking, Job};
    use std::{sync::Mutex, time::Duration};

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn only_the_secret_matches_what_is_kept_of_it() {
        let hasher = Hasher::new(seams());
        let kept = hasher.hash(&Secret::new("correct horse"), soon()).await.expect("there is room");
        let again = hasher.hash(&Secret::new("correct horse"), soon()).await.expect("there is room");
        assert_ne!(kept, again, "each has a salt of its own");
        assert_eq!(hasher.matches(&Secret::new("correct horse"), Some(&kept), soon()).await, Ok(true));
        assert_eq!(hasher.matches(&Secret::new("battery staple"), Some(&kept), soon()).await, Ok(false));
        assert_eq!(hasher.matches(&Secret::new("correct horse"), None, soon()).await, Ok(false));
        assert_eq!(format!("{kept:?} {:?}", Secret::new("x")), "SecretHash([secret]) Secret([secret])");
    }

    /// Blocking work that is only gathered.
    #[derive(Default)]
    struct Later(Mutex<Vec<Job>>);

    impl Blocking for Later {
        fn run(&self, job: Job) {
            self.0.lock().expect("nobody panics").push(job);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_may_wait_are_refused_and_late_ones_too() {
        let later = Arc::new(Later::default());
        let hasher = Hasher::new(Seams { blocking: later.clone(), ..seams() });
        let deadline = Instant::now() + Duration::from_secs(1);
        let tries = (0..100).map(|_| {
            let hasher = hasher.clone();
            tokio::spawn(async move { hasher.hash(&Secret::new("12345678"), deadline).await.map(drop) })
        });
        let tries: Vec<_> = tries.collect();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(later.0.lock().expect("nobody panics").len(), AT_ONCE, "no more are begun");
        let mut refused = 0;
        for job in std::mem::take(&mut *later.0.lock().expect("nobody panics")) {
            job();
        }
        for task in tries {
            refused += usize::from(
                task.await.expect("no panic").is_err_and(|fault| fault.code == Code::Unavailable),
            );
        }
        assert_eq!(refused, 100 - AT_ONCE);
    }

    #[test]
    fn secrets_have_a_least_length() {
        assert!(Secret::new("1234567").check().is_err());
        assert!(Secret::new("12345678").check().is_ok());
        assert!(Secret::new("x".repeat(SECRET_BYTES_MAX + 1)).check().is_err());
        assert!(Secret::generate(&seams()).check().is_ok());
    }
}
