//! Accounts, tokens and rules.

use super::{Door, context, namespace, unproven, usage};
use crate::node::Subject;
use micro_actors::auth::{
    self, Access, AccountView, Claims, KeyView, Resource, RotatedKeys, RuleView, Secret, Tokens,
};
use micro_sdk::{
    proto::{
        Account, CheckRequest, CheckResponse, CreateAccountRequest, CreateAccountResponse, CreateRuleRequest,
        CreateRuleResponse, DeleteAccountRequest, DeleteAccountResponse, DeleteRuleRequest,
        DeleteRuleResponse, InspectRequest, InspectResponse, KeysRequest, KeysResponse, ListAccountsRequest,
        ListAccountsResponse, ListRulesRequest, ListRulesResponse, LoginRequest, LogoutRequest,
        LogoutResponse, RefreshRequest, RevokeAccountRequest, RevokeAccountResponse, RotateKeysRequest,
        RotateKeysResponse, Rule, SetSecretRequest, SetSecretResponse, SigningKey, TokensResponse,
        UpdateAccountRequest, UpdateAccountResponse, UpdateRuleRequest, UpdateRuleResponse, WhoAmIRequest,
        WhoAmIResponse, auth_server, check_request,
    },
    wire::{AccountKind, AccountName, Caller, Code, Fault, Scope},
};
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl auth_server::Auth for Door {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<TokensResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let secret = Secret::new(request.secret);
        // What is no name is nobody's: who guesses names learns nothing from the answer.
        let nobody = || Fault::new(Code::Denied, "the account or its secret is wrong");
        let Ok(name) = request.account.parse::<AccountName>() else {
            self.limits.login(context.origin, None)?;
            self.local.tell_entrance(&context, "login", None, &Err::<(), _>(nobody()));
            return Err(unproven(nobody()));
        };
        let namespace = namespace(&request.namespace)?;
        if let Err(exceeded) = self.limits.login(context.origin, Some((&namespace, &name))) {
            let account = Some((namespace, name));
            self.local.tell_entrance(&context, "login", account, &Err::<(), _>(exceeded.fault.clone()));
            return Err(exceeded.into());
        }
        let login = auth::LoginRequest { namespace, name, secret };
        let login = self.local.login(&context, login).await;
        Ok(Response::new(tokens(&login.map_err(unproven)?)))
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<TokensResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        self.limits.login(context.origin, None)?;
        let token = Secret::new(request.refresh_token);
        let refreshed = self.local.refresh(&context, token).await;
        Ok(Response::new(tokens(&refreshed.map_err(unproven)?)))
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        self.local.logout(&context, Secret::new(request.refresh_token)).await.map_err(unproven)?;
        Ok(Response::new(LogoutResponse {}))
    }

    async fn keys(&self, _: Request<KeysRequest>) -> Result<Response<KeysResponse>, Status> {
        Ok(Response::new(KeysResponse { jwks: self.local.public_keys() }))
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<WhoAmIResponse>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let name = self.local.who_am_i(&context);
        let expires = context.token.as_ref().map_or(0, |token| token.claims.exp);
        Ok(Response::new(match &context.caller {
            Caller::Account(account) => WhoAmIResponse {
                caller: "account".to_owned(),
                namespace: account.namespace.to_string(),
                account: account.name.to_string(),
                kind: account.kind.to_string(),
                scopes: texts(&account.scopes),
                expires,
                name,
            },
            other => {
                let caller = match other {
                    Caller::Admin => "admin",
                    Caller::Node(_) => "node",
                    _ => "anonymous",
                };
                WhoAmIResponse { caller: caller.to_owned(), name, ..WhoAmIResponse::default() }
            }
        }))
    }

    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let namespace = namespace(&request.namespace)?;
        let resource = Resource::parse_known(&namespace, &request.resource)?;
        let subject = match request.subject {
            None => Subject::Caller,
            Some(check_request::Subject::Token(token)) => Subject::Token(Secret::new(token)),
            Some(check_request::Subject::AnonymousOnLoopback(loopback)) => Subject::Anonymous { loopback },
            Some(check_request::Subject::Account(name)) => {
                let of = match request.account_namespace.as_str() {
                    "" => namespace.clone(),
                    other => other.parse().map_err(usage)?,
                };
                Subject::Account(of, name.parse().map_err(usage)?)
            }
        };
        let (caller, decision) = self.local.check(&context, subject, &resource).await?;
        Ok(Response::new(CheckResponse {
            granted: decision.granted,
            subject: caller.to_string(),
            scopes: caller.account().map(|account| texts(&account.scopes)).unwrap_or_default(),
            rule: decision.rule,
            nearest_unfit: decision.nearest.as_ref().map(|nearest| nearest.unfit.clone()).unwrap_or_default(),
            nearest: decision.nearest.map(|nearest| nearest.id),
            why: decision.why,
        }))
    }

    async fn inspect(&self, request: Request<InspectRequest>) -> Result<Response<InspectResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        // Whoever may come in may ask: it tells no more than the token does.
        context(&metadata, &extensions)?;
        Ok(Response::new(match self.local.inspect(&Secret::new(request.token)) {
            Ok(verified) => {
                InspectResponse { good: true, why: String::new(), claims: claims(&verified.claims)? }
            }
            Err(error) => InspectResponse { good: false, why: error.to_string(), claims: String::new() },
        }))
    }

    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Result<Response<CreateAccountResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?.with_dry_run(request.dry_run);
        // Before anything can fail, so that it is wiped whatever comes.
        let secret = request.secret.map(Secret::new);
        let create = auth::CreateAccountRequest {
            namespace: namespace(&request.namespace)?,
            name: request.name.parse().map_err(usage)?,
            kind: request.kind.parse().map_err(usage)?,
            scopes: scopes(&request.scopes)?,
            metadata: request.metadata.into_iter().collect(),
            secret,
            // The node fills it in: it is not the caller's to say.
            who: String::new(),
        };
        let created = self.local.create_account(&context, create).await?;
        let secret = created.secret.map(|secret| secret.expose().to_owned());
        Ok(Response::new(CreateAccountResponse { account: Some(account(created.account)), secret }))
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let page = self.local.list_accounts(&context, namespace(&request.namespace)?, request.after).await?;
        let accounts = page.accounts.into_iter().map(account).collect();
        Ok(Response::new(ListAccountsResponse { accounts, more: page.more }))
    }

    async fn update_account(
        &self,
        request: Request<UpdateAccountRequest>,
    ) -> Result<Response<UpdateAccountResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?.with_dry_run(request.dry_run);
        let update = auth::UpdateAccountRequest {
            namespace: namespace(&request.namespace)?,
            name: request.name.parse().map_err(usage)?,
            add_scopes: scopes(&request.add_scopes)?,
            remove_scopes: scopes(&request.remove_scopes)?,
            metadata: request.metadata.into_iter().collect(),
        };
        let updated = self.local.update_account(&context, update).await?;
        Ok(Response::new(UpdateAccountResponse { account: Some(account(updated)) }))
    }

    async fn delete_account(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Result<Response<DeleteAccountResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?.with_dry_run(request.dry_run);
        let name = request.name.parse().map_err(usage)?;
        self.local.delete_account(&context, namespace(&request.namespace)?, name).await?;
        Ok(Response::new(DeleteAccountResponse {}))
    }

    async fn revoke_account(
        &self,
        request: Request<RevokeAccountRequest>,
    ) -> Result<Response<RevokeAccountResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let service = match request.kind.as_str() {
            "" => false,
            kind => kind.parse::<AccountKind>().map_err(usage)? == AccountKind::Service,
        };
        let name = request.name.parse().map_err(usage)?;
        let revoke = auth::RevokeAccountRequest { namespace: namespace(&request.namespace)?, name, service };
        self.local.revoke_account(&context, revoke).await?;
        Ok(Response::new(RevokeAccountResponse {}))
    }

    async fn set_secret(
        &self,
        request: Request<SetSecretRequest>,
    ) -> Result<Response<SetSecretResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let (old, new) = (request.old_secret.map(Secret::new), request.secret.map(Secret::new));
        let (namespace, name) = match (request.name.as_str(), context.caller.account()) {
            ("", Some(own)) => (own.namespace.clone(), own.name.clone()),
            ("", None) => {
                return Err(usage(format!("{} has no secret: say whose", context.caller)).into());
            }
            (name, _) => (namespace(&request.namespace)?, name.parse().map_err(usage)?),
        };
        if old.is_some() {
            // Who guesses at an old one guesses at a login.
            self.limits.login(context.origin, Some((&namespace, &name)))?;
        }
        let set = auth::SetSecretRequest { namespace, name, old, new };
        let made = self.local.set_secret(&context, set).await?;
        Ok(Response::new(SetSecretResponse { secret: made.map(|secret| secret.expose().to_owned()) }))
    }

    async fn create_rule(
        &self,
        request: Request<CreateRuleRequest>,
    ) -> Result<Response<CreateRuleResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?.with_dry_run(request.dry_run);
        let create = auth::CreateRuleRequest {
            namespace: namespace(&request.namespace)?,
            id: request.id,
            scope: request.scope,
            resource: request.resource,
            access: access(request.denies),
            priority: request.priority,
            who: String::new(),
        };
        let made = self.local.create_rule(&context, create).await?;
        Ok(Response::new(CreateRuleResponse { rule: Some(rule(made)) }))
    }

    async fn list_rules(
        &self,
        request: Request<ListRulesRequest>,
    ) -> Result<Response<ListRulesResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let rules = self.local.list_rules(&context, namespace(&request.namespace)?).await?;
        Ok(Response::new(ListRulesResponse { rules: rules.into_iter().map(rule).collect() }))
    }

    async fn update_rule(
        &self,
        request: Request<UpdateRuleRequest>,
    ) -> Result<Response<UpdateRuleResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?.with_dry_run(request.dry_run);
        let update = auth::UpdateRuleRequest {
            namespace: namespace(&request.namespace)?,
            id: request.id,
            scope: request.scope,
            resource: request.resource,
            access: request.denies.map(access),
            priority: request.priority,
            who: String::new(),
        };
        let made = self.local.update_rule(&context, update).await?;
        Ok(Response::new(UpdateRuleResponse { rule: Some(rule(made)) }))
    }

    async fn delete_rule(
        &self,
        request: Request<DeleteRuleRequest>,
    ) -> Result<Response<DeleteRuleResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?.with_dry_run(request.dry_run);
        self.local.delete_rule(&context, namespace(&request.namespace)?, request.id).await?;
        Ok(Response::new(DeleteRuleResponse {}))
    }

    async fn rotate_keys(
        &self,
        request: Request<RotateKeysRequest>,
    ) -> Result<Response<RotateKeysResponse>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let RotatedKeys { keys, dropped } = self.local.rotate_keys(&context(&metadata, &extensions)?).await?;
        let key = |KeyView { id, created_ms, signs }| SigningKey { id, created_ms, signs };
        Ok(Response::new(RotateKeysResponse { keys: keys.into_iter().map(key).collect(), dropped }))
    }
}

fn scopes(texts: &[String]) -> Result<Vec<Scope>, Fault> {
    texts.iter().map(|text| text.parse::<Scope>().map_err(usage)).collect()
}

fn access(denies: bool) -> Access {
    if denies { Access::Denied } else { Access::Granted }
}

fn texts(scopes: &[Scope]) -> Vec<String> {
    scopes.iter().map(ToString::to_string).collect()
}

fn tokens(tokens: &Tokens) -> TokensResponse {
    TokensResponse {
        access_token: tokens.access.expose().to_owned(),
        expires: tokens.expires_s,
        refresh_token: tokens.refresh.expose().to_owned(),
        refresh_expires: tokens.refresh_expires_s,
        namespace: tokens.namespace.to_string(),
        account: tokens.name.to_string(),
    }
}

fn claims(claims: &Claims) -> Result<String, Fault> {
    serde_json::to_string(claims).map_err(|error| Fault::new(Code::Internal, error.to_string()))
}

fn account(view: AccountView) -> Account {
    Account {
        namespace: view.namespace.into(),
        name: view.name.into(),
        kind: view.kind.to_string(),
        scopes: texts(&view.scopes),
        metadata: view.metadata.into_iter().collect(),
        created_ms: view.created_ms,
        who: view.who,
    }
}

fn rule(view: RuleView) -> Rule {
    let RuleView { id, scope, resource, access, priority, who, time_ms } = view;
    Rule { id, scope, resource, denies: access == Access::Denied, priority, who, time_ms }
}
