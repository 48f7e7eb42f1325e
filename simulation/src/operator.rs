//! The operator of the simulated mesh: makes tokens for nodes that wait, takes nodes out for good, sends the leadership
//! elsewhere, and replaces the authority. It works through every node that serves, as soon as there is one.

use crate::{
    door::operator,
    machine::{Machine, Seat, Shared},
};
use micro_actors::network::RemoveRequest;
use micro_mesh::JoinToken;
use micro_node::node::Local;
use micro_sdk::wire::Code;
use std::{rc::Rc, time::Duration};
use tokio::time::sleep;

/// How often it looks whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The pause before it tries again to take a node out.
const AGAIN: Duration = Duration::from_millis(300);
/// How long a join token is good for.
const TOKEN_TTL: Duration = Duration::from_secs(15 * 60);

/// Works through the node on `seat` until that ends.
pub async fn work(shared: Rc<Shared>, seat: Seat, local: Local) {
    let here = shared.machine(seat);
    loop {
        sleep(LOOK_EVERY).await;
        issue_token(&shared, &local).await;
        if shared.transfers.get() > 0 {
            shared.transfers.set(shared.transfers.get() - 1);
            let heir = shared.heir.take();
            let led = local.transfer(&operator(), heir).await;
            let led = led.map_or_else(|fault| fault.to_string(), |member| member.name);
            shared.trace.line(&here.name, format_args!("transfer: {led}"));
        }
        if shared.rotations.get() > 0 {
            rotate(&shared, here, &local).await;
        }
        let goes = |machine: &&Machine| machine.leaving.get() && machine.name != here.name;
        if let Some(leaving) = shared.members().find(goes) {
            take_out(&shared, here, leaving, &local).await;
        }
    }
}

/// Makes a join token for one node that waits for it.
async fn issue_token(shared: &Shared, local: &Local) {
    let waits = |(name, token): (&String, &Option<JoinToken>)| token.is_none().then(|| name.clone());
    let Some(name) = shared.desk.borrow().iter().find_map(waits) else { return };
    let reply = local.create_token(&operator(), TOKEN_TTL).await;
    if let Ok(token) = reply.map_err(drop).and_then(|reply| reply.token.parse().map_err(drop)) {
        shared.desk.borrow_mut().entry(name).and_modify(|waiting| *waiting = Some(token));
    }
}

/// Has the mesh replace its authority, once. Without an answer it may have been done: another try says so then.
async fn rotate(shared: &Shared, here: &Machine, local: &Local) {
    let told = local.rotate_authority(&operator()).await;
    match &told {
        Ok(_) => shared.rotations.set(shared.rotations.get().saturating_sub(1)),
        Err(fault) if fault.code == Code::Conflict => shared.rotations.set(0),
        Err(_) => sleep(AGAIN).await,
    }
    let told = told.map_or_else(|fault| fault.to_string(), |view| format!("made at {}", view.made));
    shared.trace.line(&here.name, format_args!("rotation: {told}"));
}

/// Takes a node out for good, once.
async fn take_out(shared: &Shared, here: &Machine, leaving: &Machine, local: &Local) {
    let Some(id) = leaving.id.get() else { return };
    let node = id.to_string();
    let request = RemoveRequest { node, even_if_up: true, even_if_blobs_are_lost: false };
    let told = local.remove(&operator(), request).await;
    // Without an answer it may be out all the same.
    let node = here.node.borrow().upgrade();
    let out = node.is_some_and(|node| {
        let seen = node.consensus().observe();
        !seen.changing && !seen.addresses.is_empty() && seen.addresses.iter().all(|(node, _)| *node != id)
    });
    if told.is_ok() || out {
        leaving.leaving.set(false);
        leaving.out.set(true);
        shared.trace.line(&here.name, format_args!("{} is out", leaving.name));
    } else if let Err(fault) = told {
        // One that leads has to hand over first.
        let leads = leaving.node.borrow().upgrade().is_some_and(|node| node.consensus().observe().leading);
        shared.transfers.set(leads.into());
        shared.trace.line(&here.name, format_args!("{} stays for now: {fault}", leaving.name));
        sleep(AGAIN).await;
    }
}
