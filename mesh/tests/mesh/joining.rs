//! Joining with a token.

use crate::world::{Echo, EchoHandle, SECRET, World, config, head, now, seams};
use bytes::Bytes;
use micro_mesh::{JoinGrant, JoinRequest, JoinToken, Mesh, NodeKey, Place, Socket, join};
use micro_sdk::wire::{Code, Effect, Fault, NodeId};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::Instant;

fn token(world: &World, addresses: Vec<SocketAddr>, secret: [u8; 32]) -> JoinToken {
    JoinToken { addresses, pin: world.authority.pin(), cluster: world.authority.cluster(), secret }
}

async fn try_join(
    token: &JoinToken,
    addresses: &[SocketAddr],
    key: &NodeKey,
    ttl: Duration,
) -> Result<JoinGrant, Fault> {
    let socket = Socket::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let request = JoinRequest {
        secret: token.secret,
        key: key.request(NodeId(2)),
        name: "b".to_owned(),
        address: socket.local_addr().expect("bound"),
        place: Place::default(),
        version: "0.1.0".to_owned(),
    };
    join(token, addresses, request, &socket, &seams(), ttl).await
}

const TTL: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_good_token_makes_a_node_of_the_mesh_on_the_same_port() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    // What is printed on one host and typed on the other.
    let token: JoinToken = token(&world, vec![a.advertise()], SECRET).to_string().parse().expect("read back");
    let key = NodeKey::generate();
    let socket = Socket::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = socket.local_addr().expect("bound");
    let request = JoinRequest {
        secret: token.secret,
        key: key.request(NodeId(2)),
        name: "b".to_owned(),
        address,
        place: Place::default(),
        version: "0.1.0".to_owned(),
    };
    let grant = join(&token, &[], request, &socket, &seams(), TTL).await.expect("a grant");
    let identity = key
        .with_certificate(&grant.certificate, NodeId(2), token.cluster, now())
        .expect("the certificate is for this key");
    let b = Mesh::start(config(2, 1, address), identity, grant.trust, socket).expect("the same socket");
    b.serve(Arc::new(EchoHandle(Arc::new(Echo::new(world.authority.clone())))));
    b.learn(a.node(), a.advertise());
    b.call(a.node(), &head("echo", 5000), Bytes::new()).await.expect("b may call a");
    a.call(b.node(), &head("echo", 5000), Bytes::new()).await.expect("a may call b");
}

#[tokio::test]
async fn a_used_or_unknown_token_is_refused_with_the_reason() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    let good = token(&world, vec![a.advertise()], SECRET);
    let key = NodeKey::generate();
    try_join(&good, &[], &key, TTL).await.expect("the first time");
    let fault = try_join(&good, &[], &key, TTL).await.expect_err("the second time");
    assert_eq!((fault.code, fault.message.as_str()), (Code::Denied, "this join token is used up"));
    let unknown = token(&world, vec![a.advertise()], [1; 32]);
    let fault = try_join(&unknown, &[], &key, TTL).await.expect_err("unknown");
    assert_eq!((fault.code, fault.message.as_str()), (Code::Denied, "this join token is not known"));
}

#[tokio::test]
async fn a_token_of_another_mesh_is_refused_before_its_secret_is_sent() {
    let (ours, theirs) = (World::new(1), World::new(2));
    let (a, _) = ours.node(1);
    let foreign = token(&theirs, vec![a.advertise()], SECRET);
    let key = NodeKey::generate();
    let fault = try_join(&foreign, &[], &key, TTL).await.expect_err("another mesh");
    assert_eq!((fault.code, fault.effect), (Code::Denied, Effect::None));
    assert!(fault.message.contains("it is of another mesh"), "{fault}");
    assert!(fault.message.contains(&a.advertise().to_string()), "{fault}");
    // The token was not used up by that.
    try_join(&token(&ours, vec![a.advertise()], SECRET), &[], &key, TTL).await.expect("still good");
}

#[tokio::test]
async fn nothing_there_is_said_with_the_address() {
    let world = World::new(1);
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("bound");
    let started = Instant::now();
    let nobody = token(&world, vec![address], SECRET);
    let fault =
        try_join(&nobody, &[], &NodeKey::generate(), Duration::from_secs(2)).await.expect_err("silent");
    assert_eq!((fault.code, fault.effect), (Code::Unreachable, Effect::None));
    assert!(
        fault.message.contains(&address.to_string()) && fault.message.contains("nothing answers"),
        "{fault}"
    );
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let addresses = [silent.local_addr().expect("bound"), a.advertise()];
    let good = token(&world, vec![([127, 0, 0, 1], 1).into()], SECRET);
    try_join(&good, &addresses, &NodeKey::generate(), Duration::from_secs(6))
        .await
        .expect("the second answers");
}
