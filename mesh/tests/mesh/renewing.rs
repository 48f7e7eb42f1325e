//! Certificates that are renewed, that end, and that are of the next authority.

use crate::world::{Echo, EchoHandle, Still, World, config, eventually, head, linked, now, seams_with};
use bytes::Bytes;
use futures::StreamExt;
use micro_mesh::{Authority, CERTIFICATE_LIFE, Identity, LinkState, Mesh, MeshConfig, Piece, Socket, Trust};
use micro_sdk::wire::{ClusterId, Code, NodeId};
use std::{sync::Arc, time::Duration};

const SOON: Duration = Duration::from_secs(8);

/// A node that serves, with this identity and clock.
fn node(world: &World, identity: Identity, trust: Trust, clock: &Arc<Still>) -> (Mesh, Arc<Echo>) {
    let socket = Socket::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let config = MeshConfig {
        seams: seams_with(clock.clone()),
        ..config(identity.node.0, 1, ([127, 0, 0, 1], 0).into())
    };
    let mesh = Mesh::start(config, identity, trust, socket).expect("a good identity and socket");
    let echo = Arc::new(Echo::with_clock(world.authority.clone(), clock.clone()));
    mesh.serve(Arc::new(EchoHandle(echo.clone())));
    (mesh, echo)
}

/// The same node and key, certified anew.
fn renewed(identity: &Identity, authority: &Authority) -> Identity {
    let key = identity.renewal().expect("its own key");
    let certificate = authority.issue(&key, CERTIFICATE_LIFE, now()).expect("a good key");
    identity.renewed(&certificate, now()).expect("the same node")
}

#[tokio::test]
async fn links_are_replaced_without_a_failed_call_and_conversations_go_on() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    linked(&b, a.node()).await;
    let (said, saying) = futures::channel::mpsc::unbounded();
    let pieces = saying.map(Piece::Data).boxed();
    let mut heard = a.converse(b.node(), &head("echo", 60_000), pieces, SOON).await.expect("it answers");
    assert!(matches!(heard.next().await, Some(Ok(Piece::Head(_)))));
    // Whichever of the two dialled the link, both can replace it.
    for (round, mesh) in [(1, &a), (2, &b), (3, &a)] {
        mesh.renew(renewed(&mesh.identity(), &world.authority), world.trust()).expect("it is good");
        for _ in 0..40 {
            for (from, to) in [(&a, &b), (&b, &a)] {
                from.call(to.node(), &head("nap", 5000), Bytes::new()).await.expect("no call fails");
            }
            if mesh.is_renewed() {
                break;
            }
        }
        assert!(mesh.is_renewed(), "round {round}");
        said.unbounded_send(Bytes::from_static(b"still")).expect("it is heard");
        assert_eq!(heard.next().await, Some(Ok(Piece::Data(Bytes::from_static(b"still")))));
    }
    drop((said, heard));
    let one = || a.connections() == 1 && b.connections() == 1;
    eventually("the old links are closed", Duration::from_secs(15), one).await;
}

#[tokio::test]
async fn a_link_ends_with_its_certificate() {
    let world = World::new(1);
    let clock = Arc::new(Still::default());
    let short = world.identity_for(1, Duration::from_secs(60));
    let (a, _) = node(&world, short, world.trust(), &clock);
    let (b, _) = node(&world, world.identity(2), world.trust(), &clock);
    a.learn(b.node(), b.advertise());
    linked(&a, b.node()).await;
    clock.forward(Duration::from_secs(61));
    let down = || a.routes().iter().all(|route| route.state != LinkState::Up);
    eventually("the link is closed", SOON, down).await;
    let fault = a.call(b.node(), &head("echo", 2000), Bytes::new()).await.expect_err("it has ended");
    assert!(matches!(fault.code, Code::Unreachable | Code::Timeout), "{fault}");
}

#[tokio::test]
async fn a_node_whose_certificate_has_ended_gets_another_by_proof_of_its_key() {
    let world = World::new(1);
    let clock = Arc::new(Still::default());
    let ended = world.identity_for(1, Duration::from_secs(60));
    let key = ended.renewal().expect("its own key");
    let (b, echo) = node(&world, world.identity(2), world.trust(), &clock);
    let (a, _) = node(&world, ended, world.trust(), &clock);
    a.learn(b.node(), b.advertise());
    clock.forward(Duration::from_secs(3600));
    // The mesh does not know its key.
    let fault = a.ask_renewal(b.advertise(), SOON).await.expect_err("whose key is it?");
    assert_eq!(fault.code, Code::Denied, "{fault}");
    echo.keys.lock().expect("no panic").insert(a.node(), key.public_key);
    let grant = a.ask_renewal(b.advertise(), SOON).await.expect("it is its key");
    let now = now() + Duration::from_secs(3600);
    let renewed = a.identity().renewed(&grant.certificate, now).expect("of the same node and key");
    a.renew(renewed, grant.trust).expect("it is good");
    a.call(b.node(), &head("echo", 5000), Bytes::new()).await.expect("it is back");
    // What was removed does not come back, whatever key it has.
    b.gossip().forget(a.node());
    let fault = a.ask_renewal(b.advertise(), SOON).await.expect_err("it was removed");
    assert!(fault.message.contains("was removed"), "{fault}");
}

#[tokio::test]
async fn nobody_is_asked_for_a_certificate_who_is_not_of_the_mesh() {
    let (ours, theirs) = (World::new(1), World::new(1));
    let ((a, _), (b, _)) = (ours.node(1), theirs.node(2));
    let fault = a.ask_renewal(b.advertise(), SOON).await.expect_err("an impostor");
    assert_eq!(fault.code, Code::Unreachable, "{fault}");
    assert!(fault.message.contains("certificate"), "{fault}");
}

#[tokio::test]
async fn the_authority_is_replaced_under_calls_and_the_former_one_is_out_then() {
    let world = World::new(1);
    let next = Authority::generate(ClusterId(1), now());
    let both = world.trust().hand_over(&world.authority, &next, now()).expect("good keys");
    let clock = Arc::new(Still::default());
    let (a, _) = node(&world, world.identity(1), world.trust(), &clock);
    let (b, _) = node(&world, world.identity(2), world.trust(), &clock);
    let (c, _) = node(&world, world.identity(3), world.trust(), &clock);
    for (from, to) in [(&a, &b), (&a, &c), (&b, &c)] {
        from.learn(to.node(), to.advertise());
        linked(from, to.node()).await;
    }
    let calls = async |from: &Mesh, to: &Mesh| {
        from.call(to.node(), &head("nap", 5000), Bytes::new()).await.expect("no call fails");
        to.call(from.node(), &head("nap", 5000), Bytes::new()).await.expect("no call fails");
    };
    // One has the next one's certificate, and the others have not even heard of it.
    a.renew(renewed(&a.identity(), &next), both.clone()).expect("it is believed");
    while !a.is_renewed() {
        calls(&a, &b).await;
    }
    b.renew(renewed(&b.identity(), &next), both.clone()).expect("it is believed");
    while !b.is_renewed() {
        calls(&a, &b).await;
        calls(&b, &c).await;
    }
    for mesh in [&a, &b] {
        mesh.renew(mesh.identity(), both.without_former()).expect("it is believed");
    }
    calls(&a, &b).await;
    // The third has slept through it all.
    let out = || {
        [&a, &b].iter().all(|mesh| {
            mesh.routes().iter().all(|route| route.node != NodeId(3) || route.state != LinkState::Up)
        })
    };
    eventually("whoever has the former one's certificate is out", SOON, out).await;
    assert!(c.call(a.node(), &head("echo", 2000), Bytes::new()).await.is_err());
    calls(&b, &a).await;
}
