//! Accounts, rules, tokens and keys as a service: what is changed, and who is let in.
//!
//! ```text
//!   a change ──► one look at the records: what it comes to ──► one transaction, if they are still the same ──► done
//!                        ▲                                              │
//!                        └─────────────── somebody was faster ──────────┘
//! ```
//!
//! What is decided by all this is in the guard, which follows the records by itself.

use crate::{
    Dispatch,
    auth::{
        AUTH, AccountsPage, AuthState, CreateAccountRequest, CreatedAccount, SealKey, Secret,
        account::{self, Account, AccountView},
        book::{self, Book},
        follower::InStep,
        guard::Guard,
        secret::Hasher,
        standing::must_have_all_of,
    },
    kit::Leader,
    store::{Glimpse, RecordCompare, RecordOp, StoreService, TransactRequest},
};
use bincode::{Decode, Encode};
use micro_consensus::Consensus;
use micro_mesh::Mesh;
use micro_sdk::wire::{AccountName, Caller, ClusterId, Code, Fault, Namespace, Seams};
use std::sync::Arc;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant, sleep},
};

/// How often a change is decided anew because somebody was faster.
const ATTEMPTS_MAX: u32 = 50;
/// The longest pause before it: two that met once should not meet again.
const PAUSE_MAX_MS: u64 = 20;
/// The accounts in one page of a list.
const PAGE: usize = 500;

/// Accounts and all that belongs to them. What it answers is in here, `amendment`, `rules`, `sessions` and `keyring`.
/// Clones share everything.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<StoreService>,
    pub(super) parts: Arc<AccountsParts>,
    pub(super) hasher: Hasher,
    /// Bounds what those may have in work who are not known yet.
    entrance: Arc<Semaphore>,
    /// Whether changes are planned, and not made.
    dry_run: bool,
}

/// What accounts need besides the store.
pub(crate) struct AccountsParts {
    pub mesh: Mesh,
    pub consensus: Consensus,
    pub state: AuthState,
    pub dispatch: Dispatch,
    pub seams: Seams,
    pub guard: Guard,
    pub in_step: InStep,
}

/// How many of those who are not known yet may have something in work: as many as may wait for a secret to be checked.
/// They have no part in the permits of those who are.
const ENTRANCE: usize = 64;

/// What opens and makes keys on this node.
#[derive(Clone)]
pub(super) struct Opener {
    pub seal: SealKey,
    pub cluster: ClusterId,
}

/// What a look at the records came to: a transaction to be made, with what to answer once it is, or an answer.
pub(super) enum Plan<T> {
    Make(TransactRequest, T),
    Answer(T),
}

impl<T> Plan<T> {
    /// Operations that hold if these records are still of these versions.
    pub fn make(compares: Vec<RecordCompare>, then: Vec<RecordOp>, answer: T) -> Self {
        Plan::Make(TransactRequest { compares, then, otherwise: Vec::new() }, answer)
    }
}

impl Accounts {
    pub(crate) fn new(store: Arc<StoreService>, parts: AccountsParts) -> Self {
        let (hasher, entrance) = (Hasher::new(parts.seams.clone()), Arc::new(Semaphore::new(ENTRANCE)));
        Accounts { store, parts: Arc::new(parts), hasher, entrance, dry_run: false }
    }

    /// The same over a [fork](StoreService::fork) of the store, for callers on another thread.
    #[must_use]
    pub fn over(&self, store: Arc<StoreService>) -> Self {
        Accounts { store, ..self.clone() }
    }

    /// The same for who wants to know what would come of a change: it is checked and answered as if it were made, and
    /// nothing is.
    #[must_use]
    pub fn dry_run(&self, dry_run: bool) -> Self {
        Accounts { dry_run, ..self.clone() }
    }

    /// Returns once this node decides by all that it has applied before this was asked.
    pub async fn in_step(&self) {
        self.parts.in_step.clone().reached().await;
    }

    /// A permit for what anybody may ask: to be let in and out.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if too many ask.
    pub fn enter(&self) -> Result<OwnedSemaphorePermit, Fault> {
        self.entrance.clone().try_acquire_owned().map_err(|_| {
            Fault::new(Code::Unavailable, "too many want to be let in just now").help("try again later")
        })
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`Code::Denied`] if it would have more than who makes it, [`Code::Conflict`] if there is one of this name,
    /// [`Code::Usage`] if its secret or its notes are not fit, or why the group did not take it.
    pub async fn create_account(
        &self,
        by: &Caller,
        request: CreateAccountRequest,
        deadline: Instant,
    ) -> Result<CreatedAccount, Fault> {
        must_have_all_of(by, &request.caller())?;
        account::check(&request.scopes, &request.metadata)?;
        let made = request.secret.is_none().then(|| Secret::generate(&self.parts.seams));
        let secret = request.secret.as_ref().or(made.as_ref()).expect("one of the two is there");
        secret.check()?;
        let hash = self.hasher.hash(secret, deadline).await?;
        let now_ms = self.parts.consensus.time_ms();
        let account = self
            .change(deadline, move |book| {
                let (namespace, name) = (&request.namespace, &request.name);
                if book.account(namespace, name)?.is_some() {
                    let message = format!("there is an account {name} in namespace {namespace} already");
                    return Err(Fault::new(Code::Conflict, message)
                        .help("choose another name, or see `micro-node auth list accounts`"));
                }
                let account = Account {
                    kind: request.kind,
                    scopes: request.scopes.clone(),
                    metadata: request.metadata.clone(),
                    secret: hash.clone(),
                    generation: book.next_generation(namespace, name, None, now_ms)?,
                    created_ms: now_ms,
                    who: request.who.clone(),
                };
                let key = book::within(namespace, name.as_str());
                let compares = vec![RecordCompare::exists(book::accounts(), key.clone(), false)];
                let then = vec![book::write(book::accounts(), key, &account)];
                Ok(Plan::make(compares, then, account.view(namespace, name.clone())))
            })
            .await?;
        // One that nothing has is none to tell.
        Ok(CreatedAccount { account, secret: made.filter(|_| !self.dry_run) })
    }

    /// A page of the accounts of a namespace: those behind a name.
    ///
    /// # Errors
    /// Why the reading can't be made linearizable.
    pub async fn list_accounts(
        &self,
        namespace: Namespace,
        after: String,
        deadline: Instant,
    ) -> Result<AccountsPage, Fault> {
        let look = move |book: &Book<'_>| {
            let (accounts, more) = book.accounts(&namespace, &after, PAGE)?;
            let accounts = accounts.into_iter().map(|(name, account)| account.view(&namespace, name));
            Ok(AccountsPage { accounts: accounts.collect(), more })
        };
        self.look(deadline, look).await
    }

    /// One account.
    ///
    /// # Errors
    /// [`Code::NotFound`], or why the reading can't be made linearizable.
    pub async fn account(
        &self,
        namespace: Namespace,
        name: AccountName,
        deadline: Instant,
    ) -> Result<AccountView, Fault> {
        let look = move |book: &Book<'_>| {
            let found = book.account(&namespace, &name)?;
            let (account, _) = found.ok_or_else(|| no_account(&namespace, &name))?;
            Ok(account.view(&namespace, name.clone()))
        };
        self.look(deadline, look).await
    }

    /// Refuses a secret that is not the account's, in the same words and time whether there is such an account.
    pub(super) async fn check_secret(
        &self,
        namespace: &Namespace,
        name: &AccountName,
        secret: &Secret,
        deadline: Instant,
    ) -> Result<(Account, u64), Fault> {
        let (within, called) = (namespace.clone(), name.clone());
        let found = self.look(deadline, move |book| book.account(&within, &called)).await?;
        let kept = found.as_ref().map(|(account, _)| &account.secret);
        let matches = self.hasher.matches(secret, kept, deadline).await?;
        found.filter(|_| matches).ok_or_else(|| {
            Fault::new(Code::Denied, format!("the account {name} or its secret is wrong"))
                .help("accounts are those of a --namespace: `micro-node auth list accounts` shows them")
        })
    }

    /// Looks at the records at one moment.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        deadline: Instant,
        look: impl Fn(&Book<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.store.glimpse(false, deadline, move |glimpse: &Glimpse<'_>| look(&Book(glimpse))).await
    }

    /// Makes what a look at the records comes to, if they are still the same then; else looks again.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        deadline: Instant,
        plan: impl Fn(&Book<'_>) -> Result<Plan<T>, Fault> + Send + Sync + 'static,
    ) -> Result<T, Fault> {
        let plan = Arc::new(plan);
        for _ in 0..ATTEMPTS_MAX {
            let plan = plan.clone();
            match self.look(deadline, move |book| plan(book)).await? {
                Plan::Answer(answer) => return Ok(answer),
                Plan::Make(_, answer) if self.dry_run => return Ok(answer),
                Plan::Make(transaction, answer) => {
                    // A key of its own for each: repeated inside it is done once.
                    let key = u128::from_le_bytes(self.parts.seams.random());
                    if self.store.transact_own(transaction, Some(key), deadline).await?.held {
                        return Ok(answer);
                    }
                }
            }
            let ms = u64::from(u16::from_le_bytes(self.parts.seams.random())) % PAUSE_MAX_MS;
            sleep(Duration::from_millis(ms)).await;
        }
        let message = format!("others changed the same {ATTEMPTS_MAX} times in between");
        Err(Fault::new(Code::Unavailable, message).help("try again"))
    }

    /// What opens keys on this node; none if it does not vote, or its own is damaged: then it complains elsewhere.
    pub(super) fn opener(&self) -> Result<Option<Opener>, Fault> {
        let seal = self.parts.state.proven_seal_key()?;
        Ok(seal.map(|seal| Opener { seal, cluster: self.parts.mesh.cluster() }))
    }

    pub(super) fn need_opener(&self) -> Result<Opener, Fault> {
        self.opener()?.ok_or_else(no_keys)
    }

    /// Has the leader do what takes the keys.
    pub(super) async fn ask_leader<A: Encode, R: Decode<()>>(
        &self,
        endpoint: &str,
        request: &A,
        deadline: Instant,
    ) -> Result<R, Fault> {
        let AccountsParts { mesh, consensus, dispatch, seams, .. } = &*self.parts;
        let leader = Leader {
            mesh: mesh.clone(),
            consensus: consensus.clone(),
            dispatch: dispatch.clone(),
            seams: seams.clone(),
        };
        leader.ask(AUTH, endpoint, request, no_keys, deadline).await
    }
}

pub(super) fn no_account(namespace: &Namespace, name: &AccountName) -> Fault {
    Fault::new(Code::NotFound, format!("no account {name} in namespace {namespace}"))
        .help("see `micro-node auth list accounts`")
}

pub(super) fn no_keys() -> Fault {
    Fault::new(Code::Unavailable, "this node has not got the key that opens the mesh's signing keys")
        .help("only voters have it, a new one after a moment: try again, and see `micro-node status`")
}
