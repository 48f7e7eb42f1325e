//! Logins, and who is logged in.

use super::{Auth, parse};
use crate::{
    client::{Token, node::Stake},
    proto,
    wire::Fault,
};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// What a login gives.
#[derive(Clone, Debug)]
pub struct Login {
    /// What to show with requests: [`Node::with_token`](super::super::Node::with_token), or
    /// [`Node::with_login`](super::super::Node::with_login), which renews it.
    pub access: Token,
    /// Until when.
    pub expires: SystemTime,
    /// What gets the next ones, once.
    pub refresh: Token,
    /// Until when.
    pub refresh_expires: SystemTime,
    /// The tenant of the account.
    pub namespace: String,
    /// The account.
    pub account: String,
}

impl From<proto::TokensResponse> for Login {
    fn from(response: proto::TokensResponse) -> Login {
        let proto::TokensResponse {
            access_token,
            expires,
            refresh_token,
            refresh_expires,
            namespace,
            account,
        } = response;
        Login {
            access: Token::new(access_token),
            expires: time_of(expires),
            refresh: Token::new(refresh_token),
            refresh_expires: time_of(refresh_expires),
            namespace,
            account,
        }
    }
}

/// Who a node takes a caller for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `admin`, `node`, `account` or `anonymous`.
    pub caller: String,
    /// For people: the account, or the user of the host.
    pub name: String,
    /// The tenant of the account; empty for others.
    pub namespace: String,
    /// The account; empty for others.
    pub account: String,
    /// `user`, `service` or `node`; empty for others.
    pub kind: String,
    /// What the account may act as.
    pub scopes: Vec<String>,
    /// Until when the token is good, if there is one.
    pub expires: Option<SystemTime>,
}

/// What a token says, or why it is not good.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// What it says; none if it is not good.
    pub claims: Option<Value>,
    /// Why it is not.
    pub why: String,
}

impl Auth {
    /// Gets tokens for an account of this namespace.
    ///
    /// # Errors
    /// `Denied` if account or secret are wrong, `Unavailable` if too many ask at once; else as every request.
    pub async fn login(&self, account: impl Into<String>, secret: &Token) -> Result<Login, Fault> {
        let message = proto::LoginRequest {
            namespace: self.namespace(),
            account: account.into(),
            secret: secret.expose().to_owned(),
        };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.login(request).await };
        let response = self.node.confidential()?.ask(Stake::Call, self.node.timeout(), message, sent).await?;
        Ok(response.into())
    }

    /// Gets the next tokens for a refresh token, which is good no more then.
    ///
    /// # Errors
    /// `Denied` if it is not good, and if it was used before: then all tokens of its login have ended. Else as every
    /// request.
    pub async fn refresh(&self, refresh: &Token) -> Result<Login, Fault> {
        let message = proto::RefreshRequest { refresh_token: refresh.expose().to_owned() };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.refresh(request).await };
        let response = self.node.confidential()?.ask(Stake::Call, self.node.timeout(), message, sent).await?;
        Ok(response.into())
    }

    /// Ends what a login began: its refresh token and its access tokens, on all nodes.
    ///
    /// # Errors
    /// As every request.
    pub async fn logout(&self, refresh: &Token) -> Result<(), Fault> {
        let message = proto::LogoutRequest { refresh_token: refresh.expose().to_owned() };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.logout(request).await };
        self.node.confidential()?.ask(Stake::Call, self.node.timeout(), message, sent).await.map(drop)
    }

    /// Who the node takes this caller for.
    ///
    /// # Errors
    /// As every request.
    pub async fn who_am_i(&self) -> Result<Identity, Fault> {
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.who_am_i(request).await };
        let response = self.node.ask(Stake::Read, self.node.timeout(), proto::WhoAmIRequest {}, sent).await?;
        let proto::WhoAmIResponse { caller, namespace, account, kind, scopes, expires, name } = response;
        let expires = (expires > 0).then(|| time_of(expires));
        Ok(Identity { caller, name, namespace, account, kind, scopes, expires })
    }

    /// What a token says, if it is good.
    ///
    /// # Errors
    /// As every request.
    pub async fn inspect(&self, token: &Token) -> Result<Inspection, Fault> {
        let message = proto::InspectRequest { token: token.expose().to_owned() };
        let mut client = self.node.auth_client();
        let sent = |request| async move { client.inspect(request).await };
        let response = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
        let claims = response.good.then(|| parse("what the token says", &response.claims)).transpose()?;
        Ok(Inspection { claims, why: response.why })
    }
}

/// A time of day in seconds since 1970.
fn time_of(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
