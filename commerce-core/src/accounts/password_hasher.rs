//! Hashes passwords with argon2id: outside of the async threads, never more at once than the machine can
//! take, and in memory that is reused.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt};
use argon2::{Algorithm, Argon2, AssociatedData, Block, Params, ParamsBuilder, Version};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use super::password::{NOBODYS_HASH, NORMALISED, NewPassword, PasswordHash};

/// Why a password was not hashed. The reason is not the password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HashError {
    /// The queue is full, or the client has its share of it. Try again in a moment.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hashing failed, for example because of a lack of memory. The text says why.
    #[error("a password could not be hashed: {0}")]
    Failed(String),
}

impl HashError {
    fn failed(cause: impl std::fmt::Display) -> Self {
        Self::Failed(cause.to_string())
    }
}

/// Hashes and checks passwords. A program makes one and passes it on; clones share the same slots.
///
/// Each slot hashes one password at a time. It keeps its 19 MiB from the first hash on, because otherwise the
/// allocator would keep as much for every thread that has ever hashed.
#[derive(Clone)]
pub struct PasswordHasher {
    slots: Arc<Slots>,
    /// Whose passwords are hashed.
    client: Option<Arc<str>>,
}

struct Slots {
    /// Permits for hashing.
    hashing: Arc<Semaphore>,
    /// Permits for waiting or hashing. Each slot hashes about thirty passwords a second, so that nobody waits
    /// for much longer than a second.
    places: Arc<Semaphore>,
    /// The places that each client has.
    taken: Mutex<HashMap<Arc<str>, usize>>,
    /// The places that one client may have.
    places_a_client: usize,
    /// The memory of idle slots, with the last used on top, so that as little memory as possible is touched.
    memory: Mutex<Vec<Vec<Block>>>,
}

const PLACES_A_SLOT: usize = 32;
/// One client gets this part of the places at most, so that a crowd from one network leaves places for others.
const SHARE_OF_A_CLIENT: usize = 4;

impl Default for PasswordHasher {
    /// Uses half of the cores, so that the others can serve requests.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self::with_slots(cores / 2)
    }
}

impl PasswordHasher {
    /// Hashes this many passwords at once, at least one.
    pub fn with_slots(slots: usize) -> Self {
        let slots = slots.max(1);
        let places = PLACES_A_SLOT * slots;
        let slots = Slots {
            hashing: Arc::new(Semaphore::new(slots)),
            places: Arc::new(Semaphore::new(places)),
            taken: Mutex::default(),
            places_a_client: places / SHARE_OF_A_CLIENT,
            memory: Mutex::new(Vec::new()),
        };
        Self { slots: Arc::new(slots), client: None }
    }

    /// The same slots for a client, such as a network, that gets a quarter of the places at most.
    #[must_use]
    pub fn for_client(&self, client: &str) -> Self {
        Self { slots: Arc::clone(&self.slots), client: Some(client.into()) }
    }

    /// The hash to store. It takes tens of milliseconds of a core, so never call it inside a transaction.
    pub async fn hash(&self, password: NewPassword) -> Result<PasswordHash, HashError> {
        self.run(move |memory| hash(&password.into_text(), memory)).await
    }

    /// Whether the password matches the hash. Without a hash (nobody has this e-mail address) it takes as
    /// long and returns `false`.
    pub(super) async fn verify(
        &self,
        password: String,
        stored: Option<PasswordHash>,
    ) -> Result<bool, HashError> {
        self.run(move |memory| verify(&password, stored.as_ref(), memory)).await
    }

    /// Like [`Self::verify`] with the first password and hash, and then with the second ones unless the first
    /// decide. Both run in one go.
    pub(super) async fn verify_both(
        &self,
        first: (String, Option<PasswordHash>),
        enough: bool,
        second: (String, Option<PasswordHash>),
    ) -> Result<(bool, bool), HashError> {
        self.run(move |memory| {
            let fits = verify(&first.0, first.1.as_ref(), memory)?;
            Ok((fits, if fits && enough { false } else { verify(&second.0, second.1.as_ref(), memory)? }))
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut [Block]) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let slots = Arc::clone(&self.slots);
        let share = self.client.clone().map(|client| Share::take(&slots, client)).transpose()?;
        let place = Arc::clone(&slots.places).try_acquire_owned().map_err(|_| HashError::Busy)?;
        let slot = Arc::clone(&slots.hashing).acquire_owned().await.map_err(HashError::failed)?;
        // The permits are held until the hash is done, even if the caller no longer waits.
        let hashing = tokio::task::spawn_blocking(move || {
            let _held = (place, slot, share);
            let mut memory = slots.take_memory();
            let done = work(&mut memory);
            // The memory reveals something about the password.
            memory.fill(Block::new());
            slots.rest().push(memory);
            done
        });
        hashing.await.unwrap_or_else(|panic| Err(HashError::failed(panic)))
    }
}

impl Slots {
    fn take_memory(&self) -> Vec<Block> {
        let kept = self.rest().pop();
        kept.unwrap_or_else(|| vec![Block::new(); MEMORY_KIB as usize])
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's place.
struct Share {
    slots: Arc<Slots>,
    client: Arc<str>,
}

impl Share {
    fn take(slots: &Arc<Slots>, client: Arc<str>) -> Result<Self, HashError> {
        let mut taken = slots.taken();
        let of_client = taken.entry(Arc::clone(&client)).or_default();
        if *of_client >= slots.places_a_client {
            return Err(HashError::Busy);
        }
        *of_client += 1;
        drop(taken);
        Ok(Self { slots: Arc::clone(slots), client })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        if let Some(of_client) = taken.get_mut(&self.client) {
            *of_client -= 1;
            if *of_client == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHasher").field("free_slots", &self.slots.hashing.available_permits()).finish()
    }
}

/// 19 MiB, two passes, one lane: the minimum of OWASP's Password Storage Cheat Sheet. A block has one KiB.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

fn hash(password: &str, memory: &mut [Block]) -> Result<PasswordHash, HashError> {
    let mut params = ParamsBuilder::new();
    params.m_cost(MEMORY_KIB).t_cost(PASSES).p_cost(1);
    params.data(AssociatedData::new(NORMALISED).map_err(HashError::failed)?);
    let params = params.build().map_err(HashError::failed)?;
    let salt = rand::random::<[u8; SALT_BYTES]>();
    let mut hash = [0; HASH_BYTES];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    argon2
        .hash_password_into_with_memory(password.as_bytes(), &salt, &mut hash, memory)
        .map_err(HashError::failed)?;
    let phc = Phc {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).map_err(HashError::failed)?,
        salt: Some(Salt::new(&salt).map_err(HashError::failed)?),
        hash: Some(Output::new(&hash).map_err(HashError::failed)?),
    };
    Ok(PasswordHash::of_phc(phc.to_string()))
}

fn verify(password: &str, stored: Option<&PasswordHash>, memory: &mut [Block]) -> Result<bool, HashError> {
    let phc = Phc::new(stored.map_or(NOBODYS_HASH, PasswordHash::as_str)).map_err(HashError::failed)?;
    let (Some(salt), Some(expected)) = (&phc.salt, &phc.hash) else {
        return Err(HashError::failed("the stored hash has no salt or no hash"));
    };
    let algorithm = Algorithm::try_from(phc.algorithm.as_str()).map_err(HashError::failed)?;
    let version = phc.version.map_or(Ok(Version::V0x13), Version::try_from).map_err(HashError::failed)?;
    let params = Params::try_from(&phc).map_err(HashError::failed)?;
    let mut actual = vec![0; expected.len()];
    let (password, needed) = (password.as_bytes(), params.block_count());
    let argon2 = Argon2::new(algorithm, version, params);
    // A hash from elsewhere may need more memory than a slot has.
    let hashed = if needed <= memory.len() {
        argon2.hash_password_into_with_memory(password, salt, &mut actual, memory)
    } else {
        argon2.hash_password_into(password, salt, &mut actual)
    };
    hashed.map_err(HashError::failed)?;
    Ok(bool::from(actual.ct_eq(expected.as_bytes())) && stored.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse";

    fn new_password() -> NewPassword {
        NewPassword::parse(PASSWORD, "").unwrap()
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let hash = PasswordHasher::default().hash(new_password()).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1,data=bmZj$"), "{}", hash.as_str());
        assert!(
            PasswordHasher::default().verify("correct horse".to_owned(), Some(hash.clone())).await.unwrap()
        );
        assert!(!PasswordHasher::default().verify("correct horsf".to_owned(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_is_checked_as_long_as_somebody() {
        // Both do the same work. Only the machine decides how long it takes.
        let cost = |hash: &str| {
            let hash = Phc::new(hash).unwrap();
            let salt = hash.salt.map(|salt| salt.to_string().len());
            let output = hash.hash.map(|output| output.len());
            (hash.algorithm.to_string(), hash.version, hash.params.to_string(), salt.is_some(), output)
        };
        let hash = PasswordHasher::default().hash(new_password()).await.unwrap();
        assert_eq!(cost(NOBODYS_HASH), cost(hash.as_str()));
        let begun = std::time::Instant::now();
        assert!(!PasswordHasher::default().verify("wrong".to_owned(), None).await.unwrap());
        // If a hash were left out, it would take no time at all.
        assert!(begun.elapsed() > std::time::Duration::from_millis(2));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_crowd_is_turned_away_at_once_and_not_kept_waiting() {
        let (slots, hasher) = (2, PasswordHasher::with_slots(2));
        let places = PLACES_A_SLOT * slots;
        let check = || {
            let hasher = hasher.clone();
            tokio::spawn(async move { hasher.verify("wrong".to_owned(), None).await })
        };
        let crowd: Vec<_> = (0..places * 4).map(|_| check()).collect();
        let (mut checked, mut turned_away) = (0, 0);
        for one in crowd {
            match one.await.unwrap() {
                Ok(false) => checked += 1,
                Err(HashError::Busy) => turned_away += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(checked >= places && turned_away > 0, "{checked} checked, {turned_away} turned away");
        assert!(!hasher.verify("wrong".to_owned(), None).await.unwrap());
    }

    /// A network that logs in endlessly leaves places for everybody else.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_gets_a_quarter_of_the_places() {
        let hasher = PasswordHasher::with_slots(1);
        let crowd: Vec<_> = (0..PLACES_A_SLOT * 2)
            .map(|_| {
                let crowd = hasher.for_client("2001:db8::/48");
                tokio::spawn(async move { crowd.verify("wrong".to_owned(), None).await })
            })
            .collect();
        let honest = (0..PLACES_A_SLOT / 2).map(|n| {
            let honest = hasher.for_client(&format!("192.0.2.{n}"));
            tokio::spawn(async move { honest.verify("wrong".to_owned(), None).await })
        });
        for one in honest.collect::<Vec<_>>() {
            assert!(!one.await.unwrap().unwrap());
        }
        let mut turned_away = 0;
        for one in crowd {
            turned_away += usize::from(one.await.unwrap().is_err());
        }
        assert!(turned_away > 0);
        assert_eq!(hasher.slots.taken().len(), 0, "no client is remembered");
    }

    #[tokio::test]
    async fn a_hash_that_argon2_made_by_itself_is_known_and_the_other_way_round() {
        use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
        let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let theirs = argon2.hash_password(PASSWORD.as_bytes()).unwrap().to_string();
        let hasher = PasswordHasher::with_slots(1);
        let theirs = PasswordHash::of_phc(theirs);
        assert!(theirs.is_of_typed_text());
        assert!(hasher.verify(PASSWORD.to_owned(), Some(theirs)).await.unwrap());
        let ours = hasher.hash(new_password()).await.unwrap();
        assert!(!ours.is_of_typed_text() && !PasswordHash::of_nobody().is_of_typed_text());
        assert!(argon2.verify_password(PASSWORD.as_bytes(), &Phc::new(ours.as_str()).unwrap()).is_ok());
        // A hash that needs more memory than a slot has.
        let params = Params::new(2 * MEMORY_KIB, 1, 1, None).unwrap();
        let large = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let large = PasswordHash::of_phc(large.hash_password(PASSWORD.as_bytes()).unwrap().to_string());
        assert!(hasher.verify(PASSWORD.to_owned(), Some(large.clone())).await.unwrap());
        assert!(!hasher.verify("another horse".to_owned(), Some(large)).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_memory_is_one_block_a_slot_and_keeps_nothing_of_a_password() {
        let hasher = PasswordHasher::with_slots(2);
        let hashed = |_| {
            tokio::spawn({
                let hasher = hasher.clone();
                async move { hasher.hash(new_password()).await }
            })
        };
        for one in (0..8).map(hashed).collect::<Vec<_>>() {
            one.await.unwrap().unwrap();
        }
        let memory = hasher.slots.rest();
        assert!((1..=2).contains(&memory.len()), "{}", memory.len());
        for block in memory.iter().flatten() {
            assert!(block.as_ref().iter().all(|word| *word == 0));
        }
    }
}
