//! Accounts' tokens in a directory: one file an account, `<public key>.jwt`, as nats-server and `nsc` keep them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hashbrown::HashMap;
use jetsled_auth::jwt::AccountClaims;
use jetsled_config::DeletePolicy;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

const EXTENSION: &str = "jwt";

/// A directory of tokens. Blocks; call it off the runtime's threads.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    delete: DeletePolicy,
    /// Accounts at most; `None` is unlimited.
    limit: Option<usize>,
    /// How long a token is good after it was written; beyond the limit, the oldest goes. `None` keeps all.
    ttl: Option<Duration>,
    tokens: Mutex<HashMap<String, Entry>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    digest: [u8; 32],
    written: SystemTime,
}

/// Why a token was not stored or deleted. `Display` goes into replies.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("jwt store is full")]
    Full,
    #[error("invalid JWT: {0}")]
    Claims(#[from] jetsled_auth::jwt::JwtError),
    #[error("account {0} does not exist")]
    Unknown(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Directory {
    pub(super) fn open(
        path: &Path,
        delete: DeletePolicy,
        limit: Option<usize>,
        ttl: Option<Duration>,
    ) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            delete,
            limit,
            ttl,
            tokens: Mutex::new(tokens_in(path)?),
        })
    }

    /// Finds what others have put there or taken away.
    pub(super) fn reread(&self) -> io::Result<()> {
        let mut tokens = self.tokens.lock();
        *tokens = tokens_in(&self.path)?;
        Ok(())
    }

    pub(super) fn delete_policy(&self) -> DeletePolicy {
        self.delete
    }

    /// An account's token, if there is one that is still good.
    pub(super) fn load(&self, account: &str) -> io::Result<Option<String>> {
        let entry = self.tokens.lock().get(account).copied();
        let is_good = |entry: &Entry| {
            let age = entry.written.elapsed().unwrap_or_default();
            self.ttl.is_none_or(|ttl| age < ttl)
        };
        if !entry.as_ref().is_some_and(is_good) {
            return Ok(None);
        }
        match fs::read_to_string(self.file_of(account)) {
            Ok(token) => Ok(Some(token)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores a token unless the stored one is newer. It is on the disk when this returns.
    pub(super) fn store(&self, account: &str, token: &str) -> Result<(), StoreError> {
        let claims = AccountClaims::decode(token)?;
        let mut tokens = self.tokens.lock();
        if tokens.contains_key(account) {
            let stored = fs::read_to_string(self.file_of(account)).unwrap_or_default();
            let is_newer = AccountClaims::decode(&stored)
                .is_ok_and(|stored| stored.issued_at > claims.issued_at);
            if is_newer || stored == token {
                return Ok(());
            }
        } else if self.limit.is_some_and(|limit| tokens.len() >= limit) {
            let oldest = tokens.iter().min_by_key(|(_, entry)| entry.written);
            let Some(oldest) = oldest
                .filter(|_| self.ttl.is_some())
                .map(|(key, _)| key.clone())
            else {
                return Err(StoreError::Full);
            };
            fs::remove_file(self.file_of(&oldest))?;
            tokens.remove(&oldest);
        }
        let unfinished = self.path.join(format!(".{account}.new"));
        let mut file = File::create(&unfinished)?;
        file.write_all(token.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, self.file_of(account))?;
        File::open(&self.path)?.sync_all()?;
        let entry = Entry {
            digest: Sha256::digest(token).into(),
            written: SystemTime::now(),
        };
        tokens.insert(account.to_owned(), entry);
        Ok(())
    }

    /// Removes an account's token, or sets it aside.
    pub(super) fn remove(&self, account: &str) -> Result<(), StoreError> {
        let mut tokens = self.tokens.lock();
        if !tokens.contains_key(account) {
            return Err(StoreError::Unknown(account.to_owned()));
        }
        let file = self.file_of(account);
        match self.delete {
            DeletePolicy::Remove => fs::remove_file(&file)?,
            DeletePolicy::Rename | DeletePolicy::Refuse => {
                let mut aside = file.clone().into_os_string();
                aside.push(".deleted");
                fs::rename(&file, aside)?;
            }
        }
        File::open(&self.path)?.sync_all()?;
        tokens.remove(account);
        Ok(())
    }

    /// The accounts that have a token, sorted.
    pub(super) fn accounts(&self) -> Vec<String> {
        let mut accounts: Vec<_> = self.tokens.lock().keys().cloned().collect();
        accounts.sort_unstable();
        accounts
    }

    /// The same for two directories if they hold the same tokens: the digests' exclusive or.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut all = [0; 32];
        for entry in self.tokens.lock().values() {
            for (sum, byte) in all.iter_mut().zip(entry.digest) {
                *sum ^= byte;
            }
        }
        all
    }

    fn file_of(&self, account: &str) -> PathBuf {
        self.path.join(format!("{account}.{EXTENSION}"))
    }
}

/// The tokens of a directory, made now if it is not there.
fn tokens_in(path: &Path) -> io::Result<HashMap<String, Entry>> {
    fs::create_dir_all(path)?;
    let mut tokens = HashMap::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let key = file.file_stem().map(|name| name.to_string_lossy());
        let is_token = file.extension().is_some_and(|end| end == EXTENSION);
        if let Some(key) = key.filter(|key| is_token && jetsled_auth::is_account_nkey(key)) {
            let token = fs::read_to_string(&file)?;
            let written = fs::metadata(&file)?.modified()?;
            let digest = Sha256::digest(&token).into();
            tokens.insert(key.into_owned(), Entry { digest, written });
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use jetsled_auth::jwt::Account;
    use nkeys::KeyPair;

    use super::*;

    fn token(operator: &KeyPair, account: &str, issued_at: i64) -> String {
        let claims = AccountClaims {
            audience: String::new(),
            expires: 0,
            id: String::new(),
            issued_at,
            issuer: operator.public_key(),
            name: String::new(),
            not_before: 0,
            subject: account.to_owned(),
            nats: Account::default(),
        };
        claims.encode(operator).unwrap()
    }

    fn account() -> String {
        KeyPair::new_account().public_key()
    }

    #[test]
    fn the_newest_token_is_kept_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Directory::open(dir.path(), DeletePolicy::Rename, None, None).unwrap();
        let (operator, a, b) = (KeyPair::new_operator(), account(), account());
        let store = open();
        assert_eq!(store.digest(), [0; 32]);
        let newer = token(&operator, &a, 20);
        store.store(&a, &newer).unwrap();
        store.store(&a, &token(&operator, &a, 10)).unwrap();
        store.store(&b, &token(&operator, &b, 10)).unwrap();
        let again = open();
        assert_eq!(again.load(&a).unwrap().as_deref(), Some(newer.as_str()));
        assert_eq!(again.digest(), store.digest());
        assert_eq!(again.accounts().len(), 2);
        again.remove(&a).unwrap();
        assert_eq!(again.load(&a).unwrap(), None);
        assert!(dir.path().join(format!("{a}.jwt.deleted")).exists());
        assert!(matches!(again.remove(&a), Err(StoreError::Unknown(_))));
    }

    #[test]
    fn a_full_directory_refuses_and_a_full_cache_forgets() {
        let operator = KeyPair::new_operator();
        for (ttl, kept) in [(None, 1), (Some(Duration::from_secs(60)), 1)] {
            let dir = tempfile::tempdir().unwrap();
            let store = Directory::open(dir.path(), DeletePolicy::Refuse, Some(1), ttl).unwrap();
            let (a, b) = (account(), account());
            store.store(&a, &token(&operator, &a, 1)).unwrap();
            let second = store.store(&b, &token(&operator, &b, 1));
            assert_eq!(second.is_ok(), ttl.is_some());
            assert_eq!(store.accounts().len(), kept);
        }
    }
}
