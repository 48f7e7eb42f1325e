//! Accounts, rules and tokens as this node's own process calls them: directly, without the mailbox.

use super::{Context, Local, configuration::who};
use micro_actors::{
    audit::{AuditEvent, Verdict},
    auth::{
        AUTH, AccountView, AccountsPage, CreateAccountRequest, CreateRuleRequest, CreatedAccount, Decision,
        LoginRequest, READ, Resource, RevokeAccountRequest, RotatedKeys, RuleView, Secret, ServiceToken,
        ServiceTokenRequest, SetSecretRequest, TokenError, Tokens, UpdateAccountRequest, UpdateRuleRequest,
        Verified, WRITE, service_caller,
    },
};
use micro_sdk::wire::{
    AccountCaller, AccountKind, AccountName, Caller, Code, Fault, Namespace, Scope, ServiceName,
};
use std::sync::Arc;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

/// What rules call the parts of this.
const ACCOUNTS: &str = "accounts";
const RULES: &str = "rules";
const KEYS: &str = "keys";

/// Whom a question is about that the rules are asked.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Whoever asks.
    Caller,
    /// An account.
    Account(Namespace, AccountName),
    /// Whose token this is.
    Token(Secret),
    /// Who shows nothing: on loopback, or by another listener.
    Anonymous {
        /// On loopback.
        loopback: bool,
    },
}

impl Local {
    /// Does what changes accounts or rules, if a rule lets the caller do so. That it was refused because the caller
    /// lacks what would be given or taken is for the audit log too.
    async fn change_auth<T>(
        &self,
        context: &Context,
        (namespace, part): (&Namespace, &str),
        about: &str,
        change: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let tried = context.dry_run.then(|| format!("{about} (dry run)"));
        let about = tried.as_deref().unwrap_or(about);
        let _permit = self.admit_auth(context, namespace, part, WRITE, about)?;
        let result = change.await;
        if let Err(fault) = result.as_ref()
            && fault.code == Code::Denied
        {
            let (asker, resource) = (context.asker().about(about), format!("{AUTH}:{part}:{WRITE}"));
            let event = AuditEvent::refused(asker, "use", &resource, &fault.message);
            self.guard().audit().tell(AuditEvent { namespace: Some(namespace.to_string()), ..event });
        }
        result
    }

    fn admit_auth(
        &self,
        context: &Context,
        namespace: &Namespace,
        part: &str,
        endpoint: &str,
        about: &str,
    ) -> Result<OwnedSemaphorePermit, Fault> {
        let resource = Resource::of(namespace, AUTH, part, endpoint);
        self.system.dispatch().admit(context.asker().about(about), AUTH, &resource)
    }

    /// Gives tokens to whoever knows an account's secret. Anybody may ask.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn login(&self, context: &Context, request: LoginRequest) -> Result<Tokens, Fault> {
        let account = (request.namespace.clone(), request.name.clone());
        let tokens = async {
            let _permit = self.accounts.enter()?;
            self.accounts.login(request, context.until()).await
        };
        let tokens = tokens.await;
        self.tell_entrance(context, "login", Some(account), &tokens);
        tokens
    }

    /// Gives the next tokens for a refresh token. Anybody may ask.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn refresh(&self, context: &Context, token: Secret) -> Result<Tokens, Fault> {
        let tokens = async {
            let _permit = self.accounts.enter()?;
            self.accounts.refresh(token, context.until()).await
        };
        let tokens = tokens.await;
        let account = tokens.as_ref().ok().map(|tokens| (tokens.namespace.clone(), tokens.name.clone()));
        self.tell_entrance(context, "refresh", account, &tokens);
        tokens
    }

    /// Makes a token for a service that is attached here. Whoever calls it knows that it is.
    ///
    /// # Errors
    /// If nobody can sign just now.
    pub async fn service_token(
        &self,
        request: ServiceTokenRequest,
        deadline: Instant,
    ) -> Result<ServiceToken, Fault> {
        self.accounts.service_token(request, deadline).await
    }

    /// Ends the session of a refresh token. Anybody may ask.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn logout(&self, context: &Context, token: Secret) -> Result<(), Fault> {
        let ended = async {
            let _permit = self.accounts.enter()?;
            self.accounts.logout(token, context.until()).await
        };
        let ended = ended.await;
        let account = ended.as_ref().ok().cloned().flatten();
        self.tell_entrance(context, "logout", account, &ended);
        ended.map(drop)
    }

    /// Tells what became of somebody who wanted to be let in or out, or to change their own secret: no rule is asked
    /// for that.
    pub fn tell_entrance<T>(
        &self,
        context: &Context,
        action: &'static str,
        account: Option<(Namespace, AccountName)>,
        result: &Result<T, Fault>,
    ) {
        let name = account.as_ref().map(|(_, name)| name.as_str()).unwrap_or_default();
        let resource = format!("{AUTH}:{name}:{action}");
        let event = AuditEvent::new(context.asker(), action, resource, Verdict::of(result));
        self.guard().audit().tell(AuditEvent {
            namespace: account.as_ref().map(|(namespace, _)| namespace.to_string()),
            account: account.map(|(namespace, name)| format!("{namespace}/{name}")),
            why: result.as_ref().err().map(|fault| fault.message.clone()),
            ..event
        });
    }

    /// The public keys that tokens are verified with, as JSON (RFC 7517). Anybody may ask.
    pub fn public_keys(&self) -> String {
        self.guard().policy().public_keys()
    }

    /// What the rules say of a request. Whoever asks about others than themselves has to be allowed to read rules.
    ///
    /// # Errors
    /// [`Code::Denied`], [`Code::NotFound`] if there is no such account, or why the token is not good.
    pub async fn check(
        &self,
        context: &Context,
        subject: Subject,
        resource: &Resource<'_>,
    ) -> Result<(Caller, Decision), Fault> {
        let caller = match subject {
            Subject::Caller => context.caller.clone(),
            Subject::Token(token) => self.guard().verify(token.expose())?.caller.clone(),
            other => {
                self.system.dispatch().may(context.asker(), &resource.beside(AUTH, RULES, READ))?;
                match other {
                    Subject::Account(namespace, name) => {
                        // What an account has is told to who may look at its own namespace.
                        let own = Resource::of(&namespace, AUTH, RULES, READ);
                        self.system.dispatch().may(context.asker(), &own)?;
                        Caller::Account(Arc::new(self.account_caller(context, namespace, name).await?))
                    }
                    Subject::Anonymous { loopback: true } => Caller::Anonymous,
                    _ => Caller::Stranger,
                }
            }
        };
        // As a call of it would find it.
        let full = match (resource.kind, resource.name.text().parse::<ServiceName>()) {
            ("service", Ok(service)) => {
                let namespace = resource.namespace.cloned().unwrap_or_default();
                self.table().endpoint(&namespace, &service, resource.endpoint)
            }
            _ => None,
        };
        let resource = Resource { endpoint: full.as_deref().unwrap_or(resource.endpoint), ..*resource };
        let decision = micro_actors::explain(self.guard(), &caller, &resource);
        Ok((caller, decision))
    }

    /// An account as a caller; also that of a service, which has one for as long as it is attached somewhere.
    async fn account_caller(
        &self,
        context: &Context,
        namespace: Namespace,
        name: AccountName,
    ) -> Result<AccountCaller, Fault> {
        let service = name.as_str().parse::<ServiceName>().ok();
        let attached = service.filter(|service| !self.table().instances(&namespace, service).is_empty());
        match self.accounts.account(namespace.clone(), name, context.until()).await {
            Ok(account) => Ok(account.caller()),
            Err(fault) if fault.code == Code::NotFound => match attached {
                Some(service) => Ok(service_caller(namespace, &service)),
                None => Err(fault),
            },
            Err(fault) => Err(fault),
        }
    }

    /// What a token says, if it is good. Whoever has it may ask.
    ///
    /// # Errors
    /// Why it is not.
    pub fn inspect(&self, token: &Secret) -> Result<Arc<Verified>, TokenError> {
        self.guard().verify(token.expose())
    }

    /// Who the caller is, for people.
    pub fn who_am_i(&self, context: &Context) -> String {
        who(context)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn create_account(
        &self,
        context: &Context,
        request: CreateAccountRequest,
    ) -> Result<CreatedAccount, Fault> {
        let kind = match request.kind {
            AccountKind::User => String::new(),
            kind => format!("{kind} "),
        };
        let about = with_scopes(format!("create {kind}account {}", request.name), "", &request.scopes);
        let namespace = request.namespace.clone();
        let request = CreateAccountRequest { who: who(context), ..request };
        let accounts = self.accounts.dry_run(context.dry_run);
        let create = accounts.create_account(&context.caller, request, context.until());
        self.change_auth(context, (&namespace, ACCOUNTS), &about, create).await
    }

    /// Gives an account other scopes and notes.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn update_account(
        &self,
        context: &Context,
        request: UpdateAccountRequest,
    ) -> Result<AccountView, Fault> {
        let about = format!("update account {}", request.name);
        let about = with_scopes(with_scopes(about, "+", &request.add_scopes), "-", &request.remove_scopes);
        let namespace = request.namespace.clone();
        let accounts = self.accounts.dry_run(context.dry_run);
        let update = accounts.update_account(&context.caller, request, context.until());
        self.change_auth(context, (&namespace, ACCOUNTS), &about, update).await
    }

    /// A page of accounts.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn list_accounts(
        &self,
        context: &Context,
        namespace: Namespace,
        after: String,
    ) -> Result<AccountsPage, Fault> {
        let _permit = self.admit_auth(context, &namespace, ACCOUNTS, READ, "")?;
        self.accounts.list_accounts(namespace, after, context.until()).await
    }

    /// Takes an account away.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn delete_account(
        &self,
        context: &Context,
        namespace: Namespace,
        name: AccountName,
    ) -> Result<(), Fault> {
        let about = format!("delete account {name}");
        let of = namespace.clone();
        let accounts = self.accounts.dry_run(context.dry_run);
        let delete = accounts.delete_account(&context.caller, namespace, name, context.until());
        self.change_auth(context, (&of, ACCOUNTS), &about, delete).await
    }

    /// Ends all sessions and tokens of an account. Everybody may end their own.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn revoke_account(
        &self,
        context: &Context,
        request: RevokeAccountRequest,
    ) -> Result<(), Fault> {
        let account = (request.namespace.clone(), request.name.clone());
        if !is_own(context, &account.0, &account.1) {
            let about = format!("revoke account {}", account.1);
            let revoke = self.accounts.revoke_account(&context.caller, request, context.until());
            return self.change_auth(context, (&account.0, ACCOUNTS), &about, revoke).await;
        }
        let _permit = self.system.dispatch().permit(AUTH)?;
        let account = Some(account);
        let revoked = self.accounts.revoke_account(&context.caller, request, context.until()).await;
        self.tell_entrance(context, "revoke-own", account, &revoked);
        revoked
    }

    /// Gives an account another secret. Whoever may not change accounts may change their own, if they know the old one.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn set_secret(
        &self,
        context: &Context,
        request: SetSecretRequest,
    ) -> Result<Option<Secret>, Fault> {
        let accounts = Resource::of(&request.namespace, AUTH, ACCOUNTS, WRITE);
        let by_rule = self.system.dispatch().would_grant(&context.caller, &accounts);
        if by_rule || !is_own(context, &request.namespace, &request.name) {
            let about = format!("set secret of account {}", request.name);
            let namespace = request.namespace.clone();
            let set = self.accounts.set_secret(&context.caller, request, context.until());
            return self.change_auth(context, (&namespace, ACCOUNTS), &about, set).await;
        }
        let _permit = self.system.dispatch().permit(AUTH)?;
        let account = Some((request.namespace.clone(), request.name.clone()));
        let set = match request.old {
            Some(_) => self.accounts.set_secret(&context.caller, request, context.until()).await,
            None => Err(Fault::new(Code::Denied, "your own secret is changed by who knows the old one only")),
        };
        self.tell_entrance(context, "set-own-secret", account, &set);
        set
    }

    /// Makes a rule.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn create_rule(
        &self,
        context: &Context,
        request: CreateRuleRequest,
    ) -> Result<RuleView, Fault> {
        let about = format!("create rule {}", request.id);
        let namespace = request.namespace.clone();
        let request = CreateRuleRequest { who: who(context), ..request };
        let accounts = self.accounts.dry_run(context.dry_run);
        let create = accounts.create_rule(&context.caller, request, context.until());
        self.change_auth(context, (&namespace, RULES), &about, create).await
    }

    /// Makes another of a rule.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn update_rule(
        &self,
        context: &Context,
        request: UpdateRuleRequest,
    ) -> Result<RuleView, Fault> {
        let about = format!("update rule {}", request.id);
        let namespace = request.namespace.clone();
        let request = UpdateRuleRequest { who: who(context), ..request };
        let accounts = self.accounts.dry_run(context.dry_run);
        let update = accounts.update_rule(&context.caller, request, context.until());
        self.change_auth(context, (&namespace, RULES), &about, update).await
    }

    /// The rules of a namespace.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn list_rules(&self, context: &Context, namespace: Namespace) -> Result<Vec<RuleView>, Fault> {
        let _permit = self.admit_auth(context, &namespace, RULES, READ, "")?;
        self.accounts.list_rules(namespace, context.until()).await
    }

    /// Takes a rule away.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn delete_rule(
        &self,
        context: &Context,
        namespace: Namespace,
        id: String,
    ) -> Result<(), Fault> {
        let about = format!("delete rule {id}");
        let of = namespace.clone();
        let accounts = self.accounts.dry_run(context.dry_run);
        let delete = accounts.delete_rule(&context.caller, namespace, id, context.until());
        self.change_auth(context, (&of, RULES), &about, delete).await
    }

    /// Makes a new key that signs.
    ///
    /// # Errors
    /// As the service answers.
    pub async fn rotate_keys(&self, context: &Context) -> Result<RotatedKeys, Fault> {
        let keys = Resource::of_mesh(AUTH, KEYS, WRITE);
        let _permit = self.system.dispatch().admit(context.asker().about("rotate keys"), AUTH, &keys)?;
        self.accounts.rotate_keys(context.until()).await
    }
}

/// What is done, and the scopes that it gives or takes.
fn with_scopes(about: String, sign: &str, scopes: &[Scope]) -> String {
    match scopes {
        [] => about,
        _ => {
            let scopes: Vec<String> = scopes.iter().map(|scope| format!("{sign}{scope}")).collect();
            format!("{about} scopes {}", scopes.join(","))
        }
    }
}

fn is_own(context: &Context, namespace: &Namespace, name: &AccountName) -> bool {
    context.caller.account().is_some_and(|own| own.namespace == *namespace && own.name == *name)
}
