//! Conversations by name: gRPC calls to an instance attached here, or to another node.

use super::{
    Dispatch,
    conversation::{Body, RAW, Replay, holding, reply, request_of, said_by, said_to},
    endpoint::{endpoint, shortened, takes_any},
    lost,
    service_call::aim,
};
use crate::{
    audit::Origin,
    calls::{Attempt, Attempts, offering, unreached},
    protobuf::is_reflection,
};
use futures::{StreamExt, future::select, stream};
use http::Response;
use http_body_util::BodyExt;
use micro_mesh::{Heard, Piece, Said};
use micro_sdk::wire::{Code, Fault, Head, Instance, NodeId};
use tokio::time::{Duration, sleep, timeout};

/// How long it may take to get a link to another node before the next instance is tried.
const LINK_PATIENCE: Duration = Duration::from_secs(5);
/// How long conversations may go on when the node stops: what is nearly done gets done, and callers of the others have
/// time left to be told.
pub const STOP_GRACE: Duration = Duration::from_secs(2);

impl Dispatch {
    /// Takes a gRPC call from a door of this node. The endpoint is named as gRPC does, `package.Service.Method`.
    ///
    /// # Errors
    /// [`Code::Denied`] if the caller may not; [`Code::NotFound`] with what was looked up where; or why no instance
    /// takes it. What goes wrong later is the error of the answer's body.
    pub async fn converse(&self, origin: Origin, head: Head, body: Body) -> Result<Response<Body>, Fault> {
        if self.is_platform(&head.service) {
            self.authorize(origin, &head)?;
            let message = format!("{} is the platform's, and takes no gRPC call by its name", head.service);
            return Err(Fault::new(Code::NotFound, message).help("its methods are those of micro.v1"));
        }
        self.converse_service(origin, head, body).await
    }

    /// Takes a conversation that another node passed on.
    pub(crate) fn receive_conversation(&self, from: NodeId, head: Head, heard: Heard) -> Said {
        let dispatch = self.clone();
        let answer = async move {
            dispatch.speaks_for_itself(from, &head)?;
            dispatch.registry().open_for_calls()?;
            dispatch.hops_left(&head)?;
            dispatch.converse_here(Origin::Mesh(from), head, request_of(heard)).await
        };
        let ended = self.registry().ended();
        let stopped = async move {
            ended.await;
            sleep(STOP_GRACE).await;
        };
        let shut_down = stream::once(async { Piece::Fault(shut_down()) });
        // Nothing is read behind the last piece, which is that of the answer if it has one.
        stream::once(answer).flat_map(said_to).take_until(Box::pin(stopped)).chain(shut_down).boxed()
    }

    /// As a call is, and again as long as nothing was done and the request can be sent again. What was answered with a
    /// status is the caller's to judge.
    async fn converse_service(
        &self,
        origin: Origin,
        mut head: Head,
        body: Body,
    ) -> Result<Response<Body>, Fault> {
        if head.endpoint.starts_with('-') {
            self.authorize(origin, &head)?;
        }
        let patience = Duration::from_millis(u64::from(head.deadline_ms));
        let candidates = self.registry().candidates_soon(&head.namespace, &head.service, patience).await;
        let candidates = candidates.or_else(|fault| self.authorize(origin, &head).and(Err(fault)))?;
        let candidates = offering(candidates, |instance| method(instance, &head.endpoint).is_ok());
        let mut attempts = self.calls().attempts(&head, candidates);
        let replay = Replay::new(body);
        let (mut last, mut called) = (None, None);
        let answer = loop {
            let attempt = match attempts.next(&head) {
                Ok(attempt) => attempt,
                Err(fault) => break Err(last.unwrap_or(fault)),
            };
            if let Err(fault) = self.name(origin, &mut head, &attempt.instance, method) {
                break Err(fault);
            }
            called = Some(attempt.instance.clone());
            let Some(body) = replay.attempt() else { break Err(last.unwrap_or_else(|| unreached(&head))) };
            match self.begun(&mut attempts, attempt, &mut head, &replay, body.boxed_unsync()).await {
                Err(fault) if attempts.again(&head, &fault).await => last = Some(fault),
                answer => break answer,
            }
        };
        let answer = attempts.end(&head.endpoint, called.as_deref(), answer);
        // The request is read for as long as somebody waits for the answer.
        answer.map(|response| response.map(|body| holding(body, replay)))
    }

    /// Makes an attempt, and a second beside it as for a call: where there is one request and one answer, and all of
    /// the request has been sent and is kept. The first answer counts.
    async fn begun(
        &self,
        attempts: &mut Attempts,
        attempt: Attempt,
        head: &mut Head,
        replay: &Replay,
        body: Body,
    ) -> Result<Response<Body>, Fault> {
        aim(head, &attempt, attempts.deadline());
        let head = &*head;
        let note = |attempts: &mut Attempts, (attempt, answer): (Attempt, Result<Response<Body>, Fault>)| {
            // No instance is to blame for a request that breaks off.
            let answer = answer.map_err(|fault| replay.broken().unwrap_or(fault));
            attempts.note_begun(attempt, &head.endpoint, answer)
        };
        // Of HTTP as it is the head of the answer counts, whatever follows; a WebSocket's request is never whole.
        let streams = takes_any(&attempt.instance) || attempt.instance.streams_of(&head.endpoint).any();
        let Some(after) = attempts.hedge_after(&head.endpoint).filter(|_| !streams) else {
            let answered = self.answered(attempt, head, body).await;
            return note(attempts, answered);
        };
        let mut one = Box::pin(self.answered(attempt, head, body));
        if let Ok(answered) = timeout(after, &mut one).await {
            return note(attempts, answered);
        }
        let second = if replay.is_whole() { attempts.second(head) } else { None };
        let second = second.filter(|second| method(&second.instance, &head.endpoint).is_ok());
        let Some((second, body)) = second.zip(replay.attempt()) else {
            return note(attempts, one.await);
        };
        let mut other = head.clone();
        aim(&mut other, &second, attempts.deadline());
        let two = Box::pin(self.answered(second, &other, body.boxed_unsync()));
        let (first, other) = select(one, two).await.factor_first();
        match note(attempts, first) {
            Ok(answer) => Ok(answer),
            Err(_) => note(attempts, other.await),
        }
    }

    async fn answered(
        &self,
        attempt: Attempt,
        head: &Head,
        body: Body,
    ) -> (Attempt, Result<Response<Body>, Fault>) {
        let Instance { id, node, .. } = *attempt.instance;
        let answer = match node == self.node() {
            true => self.counted(self.registry().converse_with(id, head, body).await),
            false => self.converse_at(node, head.clone(), body).await,
        };
        (attempt, answer)
    }

    /// Has the instance of this node answer that was chosen by the one which passed the call on.
    async fn converse_here(
        &self,
        origin: Origin,
        mut head: Head,
        body: Body,
    ) -> Result<Response<Body>, Fault> {
        let instance = self.meant(origin, &mut head, method)?;
        self.counted(self.registry().converse_with(instance.id, &head, body).await)
    }

    async fn converse_at(&self, node: NodeId, mut head: Head, body: Body) -> Result<Response<Body>, Fault> {
        head.hops += 1;
        let begun = self.mesh().converse(node, &head, said_by(body), LINK_PATIENCE).await;
        let heard = begun.map_err(|fault| self.lost(node, fault))?;
        let registry = self.registry().clone();
        reply(heard, move |fault| lost::broken_off(fault, node, || registry.node_name(node))).await
    }
}

/// Why a conversation ends that is still going on when its node stops.
pub fn shut_down() -> Fault {
    Fault::new(Code::Unavailable, "the node is shutting down").effect_unknown().help("call again")
}

/// The endpoint that a method of gRPC means: its full name; or the same without its package, where case and underscores
/// do not matter. A method alone is that of a sole handler, as in calls.
pub(crate) fn method(instance: &Instance, asked: &str) -> Result<String, Fault> {
    let names = &instance.endpoints;
    // A path is what it is.
    if asked.starts_with(RAW) && names.iter().any(|name| name == RAW) {
        return Ok(asked.to_owned());
    }
    // What it is called by is asked of its descriptors, or of itself.
    if is_reflection(asked) {
        return Ok(asked.to_owned());
    }
    let Some((service, method)) = asked.rsplit_once('.') else { return endpoint(instance, asked) };
    if takes_any(instance) {
        return Ok(asked.to_owned());
    }
    let short = [service.rsplit('.').next().unwrap_or(service), method].join(".");
    let found =
        names.iter().find(|name| *name == asked).or_else(|| names.iter().find(|name| **name == short));
    let found = found.or_else(|| names.iter().find(|name| plain(name).eq(plain(&short))));
    let found = found.map(String::as_str).or_else(|| shortened(instance, asked));
    found.map(str::to_owned).ok_or_else(|| {
        let message = format!("service {:?} has no method {asked:?}", instance.service.as_str());
        Fault::new(Code::NotFound, message).help(format!("its endpoints: {}", names.join(", ")))
    })
}

/// `Cart.AddItem` and `Cart.add_item` alike.
fn plain(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::Namespace;

    #[test]
    fn methods_are_found_by_the_names_that_grpc_gives_them() {
        let instance = Instance {
            id: 1,
            namespace: Namespace::default(),
            service: "shop".parse().expect("a good name"),
            version: "1".to_owned(),
            node: NodeId(1),
            endpoints: ["Cart.add_item", "acme.shop.v1.Stock.Count"].map(str::to_owned).to_vec(),
            routes: Vec::new(),
            streams: Vec::new(),
            metadata: std::collections::BTreeMap::new(),
            health: micro_sdk::wire::Health::Passing,
        };
        for (asked, found) in [
            ("acme.shop.v1.Stock.Count", Some("acme.shop.v1.Stock.Count")),
            ("shop.Cart.AddItem", Some("Cart.add_item")),
            ("Cart.add_item", Some("Cart.add_item")),
            ("Cart.AddItem", Some("Cart.add_item")),
            ("Stock.Count", Some("acme.shop.v1.Stock.Count")),
            ("acme.shop.v1.Stock.count", None),
            ("other.Stock.Count", None),
            ("add_item", None),
        ] {
            assert_eq!(method(&instance, asked).ok().as_deref(), found, "{asked}");
        }
        let sole = Instance { endpoints: vec!["Cart.add_item".to_owned()], ..instance };
        assert_eq!(method(&sole, "add_item").ok().as_deref(), Some("Cart.add_item"));
    }
}
