//! Processes that share one node's identity: one of them only is the node.

use crate::world::{World, linked};
use micro_mesh::{Expulsion, Mesh};
use micro_sdk::wire::NodeId;
use std::time::Duration;
use tokio::time::timeout;

async fn is_told(life: &Mesh, by: NodeId) {
    let word = timeout(Duration::from_secs(5), life.expelled()).await;
    assert_eq!(word.expect("it is told"), (by, Expulsion::Superseded));
}

async fn is_not_told(life: &Mesh) {
    assert!(timeout(Duration::from_millis(500), life.expelled()).await.is_err(), "it is the node");
}

#[tokio::test]
async fn a_later_life_takes_the_place_of_an_earlier_one_that_still_runs() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    let earlier = world.life(2, 1);
    earlier.learn(a.node(), a.advertise());
    linked(&earlier, a.node()).await;
    let later = world.life(2, 2);
    later.learn(a.node(), a.advertise());
    linked(&later, a.node()).await;
    is_told(&earlier, a.node()).await;
    is_not_told(&later).await;
}

#[tokio::test]
async fn an_older_copy_is_refused_also_when_nobody_runs_in_its_place() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    let later = world.life(2, 5);
    later.learn(a.node(), a.advertise());
    linked(&later, a.node()).await;
    later.close("stop").await;
    for boot in [4, 5] {
        let copy = world.life(2, boot);
        copy.learn(a.node(), a.advertise());
        is_told(&copy, a.node()).await;
    }
    let next = world.life(2, 6);
    next.learn(a.node(), a.advertise());
    linked(&next, a.node()).await;
    is_not_told(&next).await;
}

#[tokio::test]
async fn it_does_not_matter_who_dials() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    let later = world.life(2, 2);
    a.learn(later.node(), later.advertise());
    linked(&a, later.node()).await;
    let earlier = world.life(2, 1);
    later.close("stop").await;
    a.learn(earlier.node(), earlier.advertise());
    is_told(&earlier, a.node()).await;
}
