//! Logins as `login` saves them: for each address the tokens of one account, in a file that only this user reads.
//!
//! A refresh token is good once, so that a command which uses one holds the file's lock until the next one is in it.

use super::{
    failure::Failure,
    kept::{Kept, folder, unusable},
    unit::rfc3339,
};
use micro_sdk::{
    client::{Address, Login, Node, Token},
    wire::{Code, Fault, Namespace},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

const SCHEMA: &str = "micro-node/logins/v1";
const FILE: &str = "logins.json";
/// How long an access token has to be good for a command to begin with it: longer than nearly all commands take.
const NEAR_END: Duration = Duration::from_secs(60);

/// The login of one address.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SavedLogin {
    pub namespace: String,
    pub account: String,
    access_token: String,
    /// Seconds since 1970.
    expires: u64,
    refresh_token: String,
    refresh_expires: u64,
}

#[derive(Serialize, Deserialize)]
struct Document {
    schema: String,
    logins: BTreeMap<String, SavedLogin>,
}

impl From<&Login> for SavedLogin {
    fn from(login: &Login) -> Self {
        SavedLogin {
            namespace: login.namespace.clone(),
            account: login.account.clone(),
            access_token: login.access.expose().to_owned(),
            expires: seconds(login.expires),
            refresh_token: login.refresh.expose().to_owned(),
            refresh_expires: seconds(login.refresh_expires),
        }
    }
}

impl SavedLogin {
    pub(super) fn access(&self) -> Token {
        Token::new(self.access_token.clone())
    }

    /// When the access token ends, as RFC 3339.
    pub(super) fn access_ends(&self) -> String {
        rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(self.expires))
    }

    pub(super) fn refresh(&self) -> Token {
        Token::new(self.refresh_token.clone())
    }

    /// Until when it can be used without the secret, as documents tell it.
    pub(super) fn ends(&self) -> String {
        rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(self.refresh_expires))
    }

    fn is_near_its_end(&self, now: SystemTime) -> bool {
        self.expires <= seconds(now + NEAR_END)
    }
}

/// The file, locked against other commands of this user until it is dropped.
pub(super) struct Logins {
    kept: Kept,
    document: Document,
}

impl Logins {
    /// Opens the file of this user, which may not be there yet.
    ///
    /// # Errors
    /// If it can't be read, or others can read it too.
    pub(super) fn open() -> Result<Self, Failure> {
        let folder = folder().ok_or_else(|| {
            Fault::new(Code::Usage, "there is no home directory to keep a login in")
                .help("show a token instead: --token @FILE")
        })?;
        Self::open_in(&folder)
    }

    fn open_in(folder: &Path) -> Result<Self, Failure> {
        let kept = Kept::lock(folder, FILE)?;
        let path = kept.path();
        let empty = Document { schema: SCHEMA.to_owned(), logins: BTreeMap::new() };
        let document = match fs::read(path) {
            Ok(bytes) => {
                let mode = fs::metadata(path).map_err(|error| unusable(path, &error))?.permissions().mode();
                if mode & 0o077 != 0 {
                    let message = format!("{} holds tokens, and others can read it", path.display());
                    return Err(Fault::new(Code::Failed, message)
                        .help(format!("chmod 600 {}", path.display()))
                        .help("and log out, if somebody may have read it: micro-node logout")
                        .into());
                }
                // One that can't be read is as good as none: whoever needs it logs in again.
                serde_json::from_slice::<Document>(&bytes)
                    .ok()
                    .filter(|read| read.schema == SCHEMA)
                    .unwrap_or(empty)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => empty,
            Err(error) => return Err(unusable(path, &error)),
        };
        Ok(Logins { kept, document })
    }

    /// The login of an address.
    pub(super) fn get(&self, address: &str) -> Option<&SavedLogin> {
        self.document.logins.get(address)
    }

    /// Keeps the login of an address; none forgets it.
    ///
    /// # Errors
    /// If the file can't be written.
    pub(super) fn set(&mut self, address: &str, login: Option<SavedLogin>) -> Result<(), Failure> {
        match login {
            Some(login) => self.document.logins.insert(address.to_owned(), login),
            None => self.document.logins.remove(address),
        };
        self.kept.replace(&serde_json::to_vec_pretty(&self.document).expect("texts and numbers are JSON"))
    }
}

/// The login of the node's address, with an access token that the node takes and that is good for a while; none if
/// there is none.
///
/// # Errors
/// If the file can't be used, or the node does not take the refresh token any more.
pub(super) async fn current(node: &Node) -> Result<Option<SavedLogin>, Failure> {
    // Whoever never logged in is left no files.
    if !folder().is_some_and(|folder| folder.join(FILE).exists()) {
        return Ok(None);
    }
    let address = node.address().to_string();
    // Without the lock while the node is asked: other commands need no turn for that.
    let Some(saved) = Logins::open()?.get(&address).cloned() else { return Ok(None) };
    if !saved.is_near_its_end(SystemTime::now()) && is_taken(node, &saved).await {
        return Ok(Some(saved));
    }
    renewed(node, &address, &saved).await
}

/// Whether the node takes the access token: its key may have been given up before its time, which the refresh token
/// outlives. What else may be wrong is for the command itself to find out, which says it better.
async fn is_taken(node: &Node, saved: &SavedLogin) -> bool {
    let shown = node.clone().with_token(saved.access());
    // At a socket the token is shown to be looked at only.
    match shown.auth().inspect(&saved.access()).await {
        Ok(inspection) => inspection.claims.is_some(),
        Err(fault) => fault.code != Code::Denied,
    }
}

/// The next tokens of a login whose access token is not to be used any more.
async fn renewed(node: &Node, address: &str, last: &SavedLogin) -> Result<Option<SavedLogin>, Failure> {
    let mut logins = Logins::open()?;
    let Some(saved) = logins.get(address).cloned() else { return Ok(None) };
    if saved.access_token != last.access_token {
        // Another command was faster: to use up its refresh token would end the whole login.
        return Ok(Some(saved));
    }
    match node.auth().refresh(&saved.refresh()).await {
        Ok(login) => {
            let saved = SavedLogin::from(&login);
            logins.set(address, Some(saved.clone()))?;
            Ok(Some(saved))
        }
        Err(fault) => {
            if fault.code == Code::Denied {
                logins.set(address, None)?;
            }
            Err(fault.into())
        }
    }
}

/// The namespace of the account that is logged in at an address; none if nobody is, or it can't be told.
pub(super) fn namespace(address: &Address) -> Option<Namespace> {
    // Without the lock: the file is replaced as a whole.
    let bytes = fs::read(folder()?.join(FILE)).ok()?;
    let document: Document = serde_json::from_slice(&bytes).ok()?;
    document.logins.get(&address.to_string())?.namespace.parse().ok()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(expires: u64) -> SavedLogin {
        SavedLogin {
            namespace: "default".to_owned(),
            account: "jane".to_owned(),
            access_token: "a.b.c".to_owned(),
            expires,
            refresh_token: "mnr1_x".to_owned(),
            refresh_expires: expires,
        }
    }

    #[test]
    fn a_login_is_kept_for_its_user_alone() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = home.path().join("config");
        let open = || Logins::open_in(&folder).expect("it is this user's");
        assert!(open().get("127.0.0.1:8081").is_none());
        open().set("127.0.0.1:8081", Some(saved(5))).expect("there is room");
        assert_eq!(open().get("127.0.0.1:8081").map(|login| login.account.clone()), Some("jane".to_owned()));
        assert!(open().get("127.0.0.1:8082").is_none());
        let file = folder.join("logins.json");
        let mode = fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is this user's");
        assert!(
            matches!(Logins::open_in(&folder), Err(Failure::Fault(fault)) if fault.message.contains("others"))
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is this user's");
        open().set("127.0.0.1:8081", None).expect("there is room");
        assert!(open().get("127.0.0.1:8081").is_none());
    }

    #[test]
    fn a_token_near_its_end_is_not_begun_with() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(!saved(1000).is_near_its_end(at(900)));
        assert!(saved(1000).is_near_its_end(at(940)));
    }
}
