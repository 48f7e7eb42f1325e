//! What nodes tell each other.

use crate::world::{World, eventually};
use micro_mesh::{Member, Mesh};
use std::time::Duration;

fn member(mesh: &Mesh, of: &Mesh) -> Option<Member> {
    mesh.gossip().members().iter().find(|member| member.node == of.node()).cloned()
}

fn value(mesh: &Mesh, of: &Mesh, key: &str) -> Option<String> {
    member(mesh, of)?.values.get(key).cloned()
}

#[tokio::test]
async fn a_value_reaches_nodes_that_were_never_told_of_its_owner() {
    let world = World::new(1);
    let ((a, _), (b, _), (c, _)) = (world.node(1), world.node(2), world.node(3));
    a.learn(b.node(), b.advertise());
    c.learn(b.node(), b.advertise());
    let met =
        || [&a, &b, &c].iter().all(|mesh| mesh.gossip().members().iter().filter(|m| m.alive).count() == 3);
    eventually("all know each other", Duration::from_secs(5), met).await;
    assert_eq!(a.address(c.node()), Some(c.advertise()));
    assert_eq!(value(&a, &c, "name").as_deref(), Some("n3"));
    assert_eq!(value(&a, &c, "zone").as_deref(), Some("z3"));

    let mut changed = a.gossip().changed();
    changed.borrow_and_update();
    c.gossip().set("svc/x", "1".to_owned());
    assert_eq!(value(&c, &c, "svc/x").as_deref(), Some("1"), "seen at home at once");
    let told =
        || value(&a, &c, "svc/x").as_deref() == Some("1") && value(&b, &c, "svc/x").as_deref() == Some("1");
    eventually("the value is known", Duration::from_secs(2), told).await;
    assert!(changed.has_changed().expect("the mesh lives"));

    c.gossip().set("svc/x", "2".to_owned());
    eventually("the new value is known", Duration::from_secs(2), || {
        value(&a, &c, "svc/x").as_deref() == Some("2")
    })
    .await;
    c.gossip().remove("svc/x");
    eventually("the value is gone", Duration::from_secs(2), || value(&a, &c, "svc/x").is_none()).await;
    assert_eq!(member(&a, &c).map(|member| (member.generation, member.address)), Some((1, c.advertise())));
}

#[tokio::test]
async fn a_node_that_leaves_is_dead_within_seconds() {
    let world = World::new(1);
    let ((a, _), (b, _)) = (world.node(1), world.node(2));
    a.learn(b.node(), b.advertise());
    let alive = || member(&a, &b).is_some_and(|member| member.alive);
    eventually("it is seen", Duration::from_secs(5), alive).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(alive());
    b.close("bye").await;
    eventually("it is seen dead", Duration::from_secs(6), || !alive()).await;
    assert!(member(&a, &b).is_some(), "but not forgotten");
}

#[tokio::test]
async fn two_meshes_never_gossip() {
    let (ours, theirs) = (World::new(1), World::new(2));
    let ((a, _), (b, _)) = (ours.node(1), theirs.node(2));
    a.learn(b.node(), b.advertise());
    b.learn(a.node(), a.advertise());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(a.gossip().members().len(), 1);
    assert_eq!(b.gossip().members().len(), 1);
}
