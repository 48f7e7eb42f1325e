//! Tokens of services: each that is attached is an account of its own, which nobody has to make and which has no
//! secret.
//!
//! It is called as the service is, is of the kind `service` and has no scopes; rules name it by `service:NAME`. Its
//! node has tokens made for it for as long as it is attached. So whoever may attach under a name may act under it, and
//! nobody else.

use crate::auth::{
    Accounts, Secret,
    access_token::{self, Claims, LIFE_S},
    accounts::Opener,
    rule::account_of,
};
use bincode::{Decode, Encode};
use micro_sdk::wire::{AccountCaller, AccountKind, Fault, Namespace, ServiceName};
use tokio::time::Instant;

/// Endpoint `service-token`: makes a token for a service that is attached to the calling node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ServiceTokenRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// The service.
    pub service: ServiceName,
}

/// A token of a service.
#[derive(Clone, Debug, Encode, Decode)]
pub struct ServiceToken {
    /// What is shown with each request.
    pub access: Secret,
    /// How long it is good, in seconds.
    pub life_s: u64,
}

/// A service as a caller.
pub fn service_caller(namespace: Namespace, service: &ServiceName) -> AccountCaller {
    AccountCaller { namespace, name: account_of(service), kind: AccountKind::Service, scopes: Vec::new() }
}

impl Accounts {
    /// Makes a token for a service that is attached to this node.
    ///
    /// # Errors
    /// [`Code::Unavailable`](micro_sdk::wire::Code::Unavailable) if nobody can sign just now.
    pub async fn service_token(
        &self,
        request: ServiceTokenRequest,
        deadline: Instant,
    ) -> Result<ServiceToken, Fault> {
        match self.opener()? {
            Some(opener) => self.service_token_here(request, &opener, deadline).await,
            None => self.ask_leader("service-token", &request, deadline).await,
        }
    }

    pub(super) async fn service_token_here(
        &self,
        ServiceTokenRequest { namespace, service }: ServiceTokenRequest,
        opener: &Opener,
        deadline: Instant,
    ) -> Result<ServiceToken, Fault> {
        let key = self.signing_key(opener, deadline).await?;
        let caller = service_caller(namespace, &service);
        let id = || format!("{:032x}", u128::from_be_bytes(self.parts.seams.random()));
        let guard = &self.parts.guard;
        // What is revoked under this name takes with it what was made before, whatever the clocks say.
        let (of, name) = (caller.namespace.clone(), caller.name.clone());
        let (generation, _) = self.look(deadline, move |book| book.open_generation(&of, &name)).await?;
        let ids = [id(), id()];
        let claims = Claims::new(guard.issuer().to_owned(), &caller, generation, ids, guard.now_s());
        Ok(ServiceToken { access: Secret::new(access_token::sign(&key, &claims)), life_s: LIFE_S })
    }
}
