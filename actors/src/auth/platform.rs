//! The actor of admission, and what nodes ask each other of accounts.

use crate::{
    Dispatch, Invocation, Platform,
    address_book::places,
    auth::{Accounts, AuthCommand, AuthOutcome, AuthState, Locker, NodeRecord, SealKey},
    kit::Leader,
    machines::{MachineId, envelope},
};
use bincode::{Decode, Encode};
use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;
use micro_consensus::Consensus;
use micro_mesh::{JoinGrant, JoinRequest, JoinToken, Mesh};
use micro_sdk::wire::{
    Caller, Code, Codec, Fault, Head, Namespace, NodeId, Seams,
    limits::{BODY_BYTES_MAX, PROPOSAL_BYTES_MAX},
};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// The name of the admission service.
pub const AUTH: &str = "auth";
/// The longest life of a join token: a day. It is a key to the mesh, so it should be made when it is needed.
const TOKEN_TTL_MAX: Duration = Duration::from_secs(24 * 3600);

/// Endpoint `create-token`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreateTokenRequest {
    /// How long it can be used, in seconds.
    pub ttl_s: u32,
}

/// The answer of `create-token`.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct CreateTokenReply {
    /// The token. Shown once: only its hash is kept.
    pub token: String,
    /// The addresses in it.
    pub addresses: Vec<SocketAddr>,
    /// Until when it can be used, in seconds since 1970.
    pub expires: u64,
}

/// Endpoint `admit`: passed on to the leader by the node that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AdmitRequest(pub JoinRequest);

/// Endpoint `unseal`: gives a node that is about to vote the key of the seal.
#[derive(Clone, Encode, Decode)]
pub struct UnsealRequest {
    /// The key.
    pub key: [u8; 32],
}

/// Admission's actor.
pub struct AuthService {
    pub(super) mesh: Mesh,
    pub(super) consensus: Consensus,
    pub(super) state: AuthState,
    accounts: Accounts,
    locker: Locker,
    /// How long the certificates count that this node issues.
    pub(super) certificate_life: Duration,
    pub(super) seams: Seams,
    pub(super) dispatch: Dispatch,
}

impl AuthService {
    /// Serves admission. Certificates that are issued here count for `certificate_life`.
    pub fn new(
        mesh: Mesh,
        consensus: Consensus,
        state: AuthState,
        accounts: Accounts,
        certificate_life: Duration,
        seams: Seams,
        dispatch: Dispatch,
    ) -> Self {
        let leader = Leader {
            mesh: mesh.clone(),
            consensus: consensus.clone(),
            dispatch: dispatch.clone(),
            seams: seams.clone(),
        };
        let locker = Locker { state: state.clone(), leader };
        AuthService { mesh, consensus, state, accounts, locker, certificate_life, seams, dispatch }
    }

    /// What seals and opens secrets for this node's other parts.
    pub(crate) fn locker(&self) -> &Locker {
        &self.locker
    }

    pub(super) fn now_s(&self) -> u64 {
        seconds(self.seams.clock.now())
    }

    pub(super) async fn propose(
        &self,
        command: &AuthCommand,
        deadline: Instant,
    ) -> Result<AuthOutcome, Fault> {
        let (_, outcome) = self.consensus.propose(envelope(MachineId::Auth, command), deadline).await?;
        Codec::decode::<_, PROPOSAL_BYTES_MAX>(&outcome).map_err(|error| {
            Fault::new(Code::Internal, format!("the outcome is garbled: {error}")).effect_unknown()
        })
    }

    /// Puts the sealed authority into the group, unless it has one.
    ///
    /// # Errors
    /// If the group does not take it.
    pub async fn set_authority(&self, sealed: Vec<u8>, deadline: Instant) -> Result<(), Fault> {
        self.propose(&AuthCommand::SetAuthority { sealed }, deadline).await.map(drop)
    }

    async fn create_token(
        &self,
        request: CreateTokenRequest,
        deadline: Instant,
    ) -> Result<CreateTokenReply, Fault> {
        let ttl = Duration::from_secs(request.ttl_s.into());
        if ttl.is_zero() || ttl > TOKEN_TTL_MAX {
            let message = format!("a token can't live for {} s: it takes 1 s to 24 h", request.ttl_s);
            return Err(Fault::new(Code::Usage, message));
        }
        let addresses = self.join_addresses()?;
        let secret: [u8; 32] = self.seams.random();
        let pin = self.mesh.trust().pin();
        let token = JoinToken { addresses: addresses.clone(), pin, cluster: self.mesh.cluster(), secret };
        let now = self.now_s();
        let expires = now + ttl.as_secs();
        // A token that nobody could be let in with leads its user astray.
        self.check_seal()?;
        let command = AuthCommand::AddToken { hash: token.secret_hash(), expires, now };
        self.propose(&command, deadline).await.map_err(unsaid)?;
        Ok(CreateTokenReply { token: token.to_string(), addresses, expires })
    }

    /// The address that a new node is told to dial: ours. One that nobody could reach is refused.
    fn join_addresses(&self) -> Result<Vec<SocketAddr>, Fault> {
        let (listen, advertise) = (self.mesh.local_addr(), self.mesh.advertise());
        if advertise.ip().is_unspecified() {
            return Err(Fault::new(
                Code::Conflict,
                format!("nobody can reach this node's mesh at {advertise}"),
            )
            .help("restart it with `--advertise IP:PORT`, the address at which other hosts reach it"));
        }
        if listen.ip().is_loopback() && !advertise.ip().is_loopback() {
            let message = format!("the mesh listens on {listen} only, so nobody can reach it at {advertise}");
            return Err(Fault::new(Code::Conflict, message)
                .help(format!("restart it with `--mesh-listen 0.0.0.0:{}`", listen.port())));
        }
        Ok(std::iter::once(advertise).chain(self.mesh.also().iter().copied()).collect())
    }

    /// Answers a stranger who wants to join: asks the leader, which is the one that can take it in.
    ///
    /// # Errors
    /// What is wrong with the token, or [`Code::Unavailable`] without a leader.
    pub async fn join(&self, request: JoinRequest, deadline: Instant) -> Result<JoinGrant, Fault> {
        let leader = *self.consensus.watch_leader().borrow();
        let leader = leader.ok_or_else(|| {
            Fault::new(Code::Unavailable, "the mesh has no leader just now")
                .help("try again in a few seconds")
        })?;
        if leader == self.mesh.node() {
            return self.admit(AdmitRequest(request), deadline).await;
        }
        let head = node_head(&self.seams, self.mesh.node(), AUTH, "admit", deadline);
        let reply = self.dispatch.call_at(leader, head, Codec::encode(&AdmitRequest(request)).into()).await?;
        decode(&reply)
    }

    /// Uses up the token, certifies the key and takes the node in as a learner. On the leader.
    async fn admit(
        &self,
        AdmitRequest(request): AdmitRequest,
        deadline: Instant,
    ) -> Result<JoinGrant, Fault> {
        let node = request.key.node;
        let members = self.consensus.observe().addresses;
        // One that was let go has its name no more, though a node that has just started may take it to be there.
        let is_other = |other: &NodeId| *other != node && members.iter().any(|(member, _)| member == other);
        if let Some(other) = self.dispatch.live_node_named(&request.name).filter(is_other) {
            let message = format!("the mesh has a live node named {:?} already ({other})", request.name);
            return Err(Fault::new(Code::Conflict, message).help("start it with another `--name`"));
        }
        // Before the token is used up, so that a node without the key wastes none.
        let authority = self.state.authority()?;
        let record = NodeRecord {
            node,
            name: request.name.clone(),
            public_key: request.key.public_key.clone(),
            address: request.address.to_string(),
        };
        let hash = sha256(&request.secret);
        let outcome =
            self.propose(&AuthCommand::UseToken { hash, now: self.now_s(), node: record }, deadline).await?;
        refuse_token(outcome)?;
        let certificate = self.certify(&authority, &request.key)?;
        self.mesh.learn(node, request.address);
        self.consensus.add_learner(node, request.address).await?;
        tracing::info!(%node, name = %request.name, address = %request.address, "node joined");
        let mut seen = self.consensus.observe();
        seen.addresses.retain(|(member, _)| *member != node);
        let peers = seen.addresses.iter().flat_map(|member| places(member, &self.mesh)).collect();
        Ok(JoinGrant { certificate, trust: self.trust(&authority)?, peers })
    }

    /// Takes the key of the seal from a voter. Kept only if it opens the seal.
    fn unseal(&self, caller: &Caller, request: &UnsealRequest) -> Result<(), Fault> {
        let voters = self.consensus.observe().voters;
        if !matches!(caller, Caller::Node(from) if voters.contains(from)) {
            return Err(Fault::new(Code::Denied, "only a voter may hand over the key of the seal"));
        }
        let key =
            SealKey::from_bytes(&request.key).map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
        let sealed = self.state.sealed_authority()?;
        let sealed =
            sealed.ok_or_else(|| Fault::new(Code::Unavailable, "the sealed authority is not here yet"))?;
        key.open(self.mesh.cluster(), &sealed).map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
        self.state.keep_seal_key(&key)
    }

    /// Finds out whether this node can do what a voter has to: open the authority.
    ///
    /// # Errors
    /// Why it can't.
    pub(crate) fn check_seal(&self) -> Result<(), Fault> {
        self.state.check_seal(self.consensus.observe().voters.contains(&self.mesh.node()))
    }

    /// Gives `node` the key of the seal: before it becomes a voter, and when it has lost it.
    ///
    /// # Errors
    /// If it can't be reached or does not keep it.
    pub async fn hand_seal_to(&self, node: NodeId, deadline: Instant) -> Result<(), Fault> {
        let key = self.state.seal_key()?;
        let key = key.ok_or_else(|| Fault::new(Code::Unavailable, "this node has no key to the seal"))?;
        let key: [u8; 32] = key.as_bytes().try_into().expect("a key has 32 bytes");
        let head = node_head(&self.seams, self.mesh.node(), AUTH, "unseal", deadline);
        self.dispatch.call_at(node, head, Codec::encode(&UnsealRequest { key }).into()).await.map(drop)
    }

    /// The name of a node when it was let in, or as it tells it.
    pub(crate) fn name_of(&self, node: NodeId) -> Option<String> {
        let recorded = self.state.node(node).ok().flatten().map(|record| record.name);
        recorded.or_else(|| {
            // The node that founded the mesh was never let in, and is known by what it tells.
            Some(self.dispatch.registry().node_name(node)).filter(|name| *name != node.to_string())
        })
    }

    /// How many nodes have left or were removed.
    ///
    /// # Errors
    /// If the state can't be read.
    pub(crate) fn removals(&self) -> Result<u64, Fault> {
        self.state.removals()
    }

    /// The nodes that must not come back.
    ///
    /// # Errors
    /// If the state can't be read.
    pub(crate) fn gone(&self) -> Result<Vec<NodeId>, Fault> {
        self.state.gone()
    }

    /// Forgets a node that left for good or was removed, on all nodes.
    ///
    /// # Errors
    /// If the group does not take the change.
    pub async fn forget(&self, node: NodeId, deadline: Instant) -> Result<(), Fault> {
        self.propose(&AuthCommand::RemoveNode { node, now: self.now_s() }, deadline).await.map(drop)
    }
}

/// What became of a token that may have been made: nobody has heard its secret, so it is as good as none.
fn unsaid(fault: Fault) -> Fault {
    if fault.code != Code::Unknown {
        return fault;
    }
    Fault::new(Code::Unavailable, "the mesh did not confirm the token in time, so it is not given out")
        .help("see `micro-node status`: a majority of the voters must be reachable; then make another")
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time in seconds since 1970 as RFC 3339, in UTC.
fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("{seconds} s since 1970"), |time| time.to_string())
}

fn refuse_token(outcome: AuthOutcome) -> Result<(), Fault> {
    let another = "make another with `micro-node token create` on a node of the mesh";
    match outcome {
        AuthOutcome::Done => Ok(()),
        AuthOutcome::UnknownToken => {
            Err(Fault::new(Code::Denied, "the join token is not known to this mesh").help(another))
        }
        AuthOutcome::UsedToken { by } => {
            Err(Fault::new(Code::Denied, format!("the join token was used before, by node {by:?}"))
                .help(another))
        }
        AuthOutcome::ExpiredToken { at } => {
            Err(Fault::new(Code::Denied, format!("the join token has expired (at {})", date(at)))
                .help(another))
        }
        AuthOutcome::Invalid { why } => Err(Fault::new(Code::Internal, why)),
        AuthOutcome::OtherAuthority | AuthOutcome::HandingOver => {
            Err(Fault::new(Code::Internal, "a token was answered as an authority is"))
        }
    }
}

/// The head of a call that a node makes on its own account.
pub(crate) fn node_head(
    seams: &Seams,
    node: NodeId,
    service: &str,
    endpoint: &str,
    deadline: Instant,
) -> Head {
    let left = deadline.saturating_duration_since(Instant::now());
    Head {
        namespace: Namespace::default(),
        service: service.parse().expect("platform services have good names"),
        endpoint: endpoint.to_owned(),
        caller: Caller::Node(node),
        trace: seams.trace_id(),
        deadline_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
        hops: 0,
        idempotency_key: None,
        metadata: Vec::new(),
        instance: None,
        attempts: None,
    }
}

pub(crate) fn decode<T: Decode<()>>(body: &[u8]) -> Result<T, Fault> {
    Codec::decode::<T, BODY_BYTES_MAX>(body).map_err(|error| Fault::new(Code::Usage, error.to_string()))
}

impl Platform for AuthService {
    fn name(&self) -> &'static str {
        AUTH
    }

    fn permits(&self) -> usize {
        // Admissions and renewals sign: a flood of them must not starve the rest of the node. Nor must a flood of
        // logins, which other nodes pass on and which wait for their turn, starve these.
        128
    }

    fn handle(self: Arc<Self>, call: Invocation) -> BoxFuture<'static, Result<Bytes, Fault>> {
        Box::pin(async move {
            let deadline = Instant::now() + Duration::from_millis(call.head.deadline_ms.into());
            let (caller, body) = (&call.head.caller, &call.body);
            Ok(match call.head.endpoint.as_str() {
                "create-token" => Codec::encode(&self.create_token(decode(body)?, deadline).await?).into(),
                "admit" => Codec::encode(&self.admit(decode(body)?, deadline).await?).into(),
                "renew" => Codec::encode(&self.renew(caller, &decode(body)?)?).into(),
                "show-authority" => Codec::encode(&self.show_authority()?).into(),
                "rotate-authority" => Codec::encode(&self.rotate_authority(deadline).await?).into(),
                "finish-authority" => {
                    Codec::encode(&self.finish_authority(decode(body)?, deadline).await?).into()
                }
                "unseal" => {
                    self.unseal(caller, &decode(body)?)?;
                    Bytes::new()
                }
                "seal-secret" => Codec::encode(&self.locker.seal_here(&decode(body)?)?).into(),
                "open-secret" => Codec::encode(&self.locker.open_here(&decode(body)?)?).into(),
                "login" => {
                    let opener = self.accounts.need_opener()?;
                    Codec::encode(&self.accounts.login_here(decode(body)?, &opener, deadline).await?).into()
                }
                "refresh" => {
                    let opener = self.accounts.need_opener()?;
                    Codec::encode(&self.accounts.refresh_here(decode(body)?, &opener, deadline).await?).into()
                }
                "service-token" => {
                    let opener = self.accounts.need_opener()?;
                    let request = decode(body)?;
                    Codec::encode(&self.accounts.service_token_here(request, &opener, deadline).await?).into()
                }
                "rotate-keys" => {
                    let opener = self.accounts.need_opener()?;
                    Codec::encode(&self.accounts.rotate_keys_here(&opener, deadline).await?).into()
                }
                other => return Err(Fault::new(Code::NotFound, format!("auth has no endpoint {other:?}"))),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_token_is_refused_with_a_date() {
        let fault =
            refuse_token(AuthOutcome::ExpiredToken { at: 1_795_548_435 }).expect_err("it has expired");
        assert!(fault.message.contains("(at 2026-11-24T19:27:15Z)"), "{fault}");
        assert_eq!(date(u64::MAX), format!("{} s since 1970", u64::MAX));
    }
}
