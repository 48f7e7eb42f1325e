//! Sessions: a login begins one, each refresh goes on with it, a logout ends it.

use crate::{
    auth::{
        Accounts, LoginRequest, Secret, Tokens,
        access_token::{self, Claims, LIFE_S},
        account::Account,
        accounts::{Opener, Plan},
        book,
        refresh_token::{LIFE_MS, RefreshToken, Session},
        revocation::{Revocation, session_key},
    },
    store::{RecordCompare, RecordOp},
};
use micro_sdk::wire::{AccountName, Code, Fault, Namespace};
use tokio::time::Instant;

/// What a refresh comes to.
enum Refreshed {
    /// The session goes on.
    On(Box<(Session, Account)>),
    /// It is over, with the reason.
    Over(String),
}

impl Accounts {
    /// Gives tokens to whoever knows an account's secret.
    ///
    /// # Errors
    /// [`Code::Denied`] if account or secret are wrong, [`Code::Unavailable`] if too many ask at once, or why the group
    /// did not take it.
    pub async fn login(&self, request: LoginRequest, deadline: Instant) -> Result<Tokens, Fault> {
        match self.opener()? {
            Some(opener) => self.login_here(request, &opener, deadline).await,
            None => self.ask_leader("login", &request, deadline).await,
        }
    }

    pub(super) async fn login_here(
        &self,
        request: LoginRequest,
        opener: &Opener,
        deadline: Instant,
    ) -> Result<Tokens, Fault> {
        let LoginRequest { namespace, name, secret } = request;
        let (account, version) = self.check_secret(&namespace, &name, &secret, deadline).await?;
        let token = RefreshToken::begin(&self.parts.seams);
        let session = Session {
            namespace: namespace.clone(),
            account: name.clone(),
            generation: account.generation,
            hash: token.hash(),
            began_ms: self.parts.consensus.time_ms(),
        };
        let (id, compared) = (token.session(), book::within(&namespace, name.as_str()));
        self.change(deadline, move |book| {
            // Another secret since, or no account at all: what was checked is not true any more.
            let now = book.account(&session.namespace, &session.account)?.map(|(_, version)| version);
            if now != Some(version) {
                return Err(
                    Fault::new(Code::Denied, "the account was changed in between").help("log in again")
                );
            }
            let compares = vec![RecordCompare::version(book::accounts(), compared.clone(), version)];
            let then = vec![book::write_for(book::sessions(), id.clone(), &session, LIFE_MS)];
            Ok(Plan::make(compares, then, ()))
        })
        .await?;
        self.tokens(&namespace, &name, &account, &token, opener, deadline).await
    }

    /// Gives the next tokens for a refresh token, which is good no more.
    ///
    /// # Errors
    /// [`Code::Denied`] if it is not known, has expired, or was shown before: then its session has ended. Or why the
    /// group did not take it.
    pub async fn refresh(&self, token: Secret, deadline: Instant) -> Result<Tokens, Fault> {
        match self.opener()? {
            Some(opener) => self.refresh_here(token, &opener, deadline).await,
            None => self.ask_leader("refresh", &token, deadline).await,
        }
    }

    pub(super) async fn refresh_here(
        &self,
        token: Secret,
        opener: &Opener,
        deadline: Instant,
    ) -> Result<Tokens, Fault> {
        let shown = RefreshToken::parse(token.expose()).ok_or_else(|| over("it is no refresh token"))?;
        let next = shown.next(&self.parts.seams);
        let hash = next.hash();
        let refreshed = self
            .change(deadline, move |book| {
                let id = shown.session();
                let Some((session, version)) = book.session(&id)? else {
                    let why = "it is not known: it has expired, or was given back";
                    return Ok(Plan::Answer(Refreshed::Over(why.to_owned())));
                };
                let compares = vec![RecordCompare::version(book::sessions(), id.clone(), version)];
                let account = book.account(&session.namespace, &session.account)?;
                let account = account.filter(|(account, _)| account.generation == session.generation);
                let end = |why: String| {
                    let then = vec![
                        RecordOp::Delete { table: book::sessions(), key: id.clone() },
                        book::revoke(session_key(&id), &Revocation::Session),
                    ];
                    Plan::make(compares.clone(), then, Refreshed::Over(why))
                };
                let Some((account, _)) = account else {
                    let (namespace, name) = (&session.namespace, &session.account);
                    return Ok(end(format!("the account {namespace}/{name} was changed or deleted")));
                };
                if !shown.is_good_for(&session) {
                    let (namespace, name) = (&session.namespace, &session.account);
                    return Ok(end(format!(
                        "it was used before, so somebody else may have it: that session of {namespace}/{name} has ended"
                    )));
                }
                let next = Session { hash, ..session };
                let then = vec![book::write_for(book::sessions(), id, &next, LIFE_MS)];
                Ok(Plan::make(compares, then, Refreshed::On(Box::new((next, account)))))
            })
            .await?;
        match refreshed {
            Refreshed::On(on) => {
                let (session, account) = *on;
                self.tokens(&session.namespace, &session.account, &account, &next, opener, deadline).await
            }
            Refreshed::Over(why) => Err(over(&why)),
        }
    }

    /// Ends the session of a refresh token, with the access tokens that it has. Returns whose it was; one that is not
    /// known is no error.
    ///
    /// # Errors
    /// [`Code::Denied`] if it is no refresh token, or why the group did not take it.
    pub async fn logout(
        &self,
        token: Secret,
        deadline: Instant,
    ) -> Result<Option<(Namespace, AccountName)>, Fault> {
        let shown = RefreshToken::parse(token.expose()).ok_or_else(|| over("it is no refresh token"))?;
        self.change(deadline, move |book| {
            let id = shown.session();
            let Some((session, version)) = book.session(&id)? else { return Ok(Plan::Answer(None)) };
            // Whoever has an old token of the session may end it too: better too often than not at all.
            let compares = vec![RecordCompare::version(book::sessions(), id.clone(), version)];
            let then = vec![
                RecordOp::Delete { table: book::sessions(), key: id.clone() },
                book::revoke(session_key(&id), &Revocation::Session),
            ];
            Ok(Plan::make(compares, then, Some((session.namespace, session.account))))
        })
        .await
    }

    async fn tokens(
        &self,
        namespace: &Namespace,
        name: &AccountName,
        account: &Account,
        refresh: &RefreshToken,
        opener: &Opener,
        deadline: Instant,
    ) -> Result<Tokens, Fault> {
        let key = self.signing_key(opener, deadline).await?;
        let guard = &self.parts.guard;
        let id = format!("{:032x}", u128::from_be_bytes(self.parts.seams.random()));
        let caller = account.caller(namespace, name);
        let issuer = guard.issuer().to_owned();
        let now_s = guard.now_s();
        let claims = Claims::new(issuer, &caller, account.generation, [id, refresh.session()], now_s);
        Ok(Tokens {
            access: Secret::new(access_token::sign(&key, &claims)),
            expires_s: now_s + LIFE_S,
            refresh: Secret::new(refresh.expose()),
            refresh_expires_s: now_s + LIFE_MS / 1000,
            namespace: namespace.clone(),
            name: name.clone(),
        })
    }
}

fn over(why: &str) -> Fault {
    Fault::new(Code::Denied, format!("the refresh token is not taken: {why}"))
        .help("log in again: micro-node login ACCOUNT")
}
