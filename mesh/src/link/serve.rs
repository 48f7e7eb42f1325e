//! Works a link: takes the peer's streams, and pings it.

use super::{Link, LinkKind, Outgoing, StreamGuard, close_code, gather, stream_code};
use crate::{
    FrameReceiver, FrameSender, Lane,
    call::answer_call,
    conversation::answer,
    gossip::MESSAGE_BYTES_MAX,
    lane::{CALL_PRIORITY, PING_PRIORITY},
    mesh::Inner,
    prelude::{GOSSIP_KIND, Kind, Purpose},
    relay,
};
use bytes::Bytes;
use quinn::{RecvStream, SendStream};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// The time for a stream's first bytes, and for a gossip message. They are sent at once: what is later is
/// lost.
const PRELUDE_TIMEOUT: Duration = Duration::from_secs(5);
const PING_BYTES: usize = 8;

/// Works `link` until it is closed.
pub(crate) async fn serve(inner: Arc<Inner>, link: Arc<Link>, purpose: Purpose) {
    tokio::select! {
        biased;
        _ = link.connection.closed() => {}
        () = accept_bidi(&inner, &link) => {}
        () = accept_uni(&inner, &link) => {}
        () = ping(&inner, &link), if purpose == Purpose::Link => {}
        () = relay::take(&inner, &link), if purpose == Purpose::Link && link.kind == LinkKind::Direct => {}
    }
    // A loop may end a moment before the connection knows why. A peer that only ends the pings is not
    // understood.
    match timeout(link.given_up_after(), link.connection.closed()).await {
        Ok(reason) => inner.heed(link.peer, &reason),
        Err(_) => link.close(close_code::SILENT, "pings are not answered"),
    }
}

async fn accept_bidi(inner: &Arc<Inner>, link: &Arc<Link>) {
    while let Ok((send, recv)) = link.connection.accept_bi().await {
        let (inner, link) = (inner.clone(), link.clone());
        tokio::spawn(async move {
            let guard = StreamGuard::new(&link);
            bidi(&inner, &link, send, recv, guard).await;
        });
    }
}

async fn bidi(
    inner: &Arc<Inner>,
    link: &Arc<Link>,
    send: SendStream,
    mut recv: RecvStream,
    guard: StreamGuard,
) {
    let outgoing = |send: SendStream, priority: i32| {
        let _ = send.set_priority(priority);
        Outgoing::new(send)
    };
    let kind = match timeout(PRELUDE_TIMEOUT, read_byte(&mut recv)).await {
        Ok(Some(byte)) => Kind::from_byte(byte),
        _ => None,
    };
    match kind {
        Some(Kind::Call) => answer_call(inner, link.peer, outgoing(send, CALL_PRIORITY), recv).await,
        Some(Kind::Conversation) => {
            answer(inner, link.peer, outgoing(send, CALL_PRIORITY), recv, guard).await;
        }
        Some(Kind::Ping) => {
            drop(guard); // A ping's stream is always there, and no use of the link.
            echo(outgoing(send, PING_PRIORITY), recv).await;
        }
        Some(Kind::Lane) => {
            let lane = match timeout(PRELUDE_TIMEOUT, read_byte(&mut recv)).await {
                Ok(Some(byte)) => Lane::from_number(byte),
                _ => None,
            };
            match lane {
                Some(lane) => {
                    let guard = guard.of_lane();
                    let sender = FrameSender::new(outgoing(send, lane.priority()), guard.clone());
                    let receiver = FrameReceiver::new(recv, guard);
                    lane_work(inner, link, lane, sender, receiver).await;
                }
                None => refuse(send, recv),
            }
        }
        Some(Kind::Hello) | None => refuse(send, recv),
    }
}

async fn lane_work(
    inner: &Arc<Inner>,
    link: &Arc<Link>,
    lane: Lane,
    sender: FrameSender,
    receiver: FrameReceiver,
) {
    let Some(handler) = inner.handler().await else { return };
    let work = handler.lane(link.peer, lane, sender, receiver);
    tokio::select! {
        biased;
        () = inner.closed() => {}
        () = work => {}
    }
}

/// A stream of a kind that is not known here, perhaps of a newer node: it is told so at once.
fn refuse(send: SendStream, mut recv: RecvStream) {
    Outgoing::new(send).reset(stream_code::UNKNOWN);
    let _ = recv.stop(stream_code::UNKNOWN);
}

async fn read_byte(recv: &mut RecvStream) -> Option<u8> {
    let mut byte = [0];
    recv.read_exact(&mut byte).await.ok().map(|()| byte[0])
}

async fn accept_uni(inner: &Arc<Inner>, link: &Arc<Link>) {
    while let Ok(mut recv) = link.connection.accept_uni().await {
        let (inner, link) = (inner.clone(), link.clone());
        tokio::spawn(async move {
            let message = timeout(PRELUDE_TIMEOUT, gather(&mut recv, MESSAGE_BYTES_MAX + 1)).await;
            match message {
                Ok(Ok(bytes)) if bytes.first() == Some(&GOSSIP_KIND) && inner.peer(link.peer).is_some() => {
                    inner.gossip().receive(link.peer, link.life.boot, &bytes[1..]);
                }
                Ok(Err(error)) => tracing::debug!(peer = %link.peer, %error, "gossip message dropped"),
                _ => {}
            }
        });
    }
}

/// Pings on a stream of their own until the link is gone.
async fn ping(inner: &Arc<Inner>, link: &Arc<Link>) {
    // Not counted as a stream in use: it is always there.
    let Ok((send, mut recv)) = link.connection.open_bi().await else { return };
    let _ = send.set_priority(PING_PRIORITY);
    let mut send = Outgoing::new(send);
    let mut prelude = vec![Kind::Ping as u8];
    for nonce in 0u64.. {
        let sent_at = Instant::now();
        let mut bytes = std::mem::take(&mut prelude);
        bytes.extend_from_slice(&nonce.to_le_bytes());
        if send.write(&mut [Bytes::from(bytes)]).await.is_err() {
            return;
        }
        let mut echo = [0; PING_BYTES];
        if answered(inner, link, &mut recv, &mut echo).await.is_none() || echo != nonce.to_le_bytes() {
            return;
        }
        let path = link.connection.stats().path;
        link.pulse().record(Instant::now(), sent_at.elapsed(), path.sent_packets, path.lost_packets);
        inner.look(link.peer);
        sleep_until(sent_at + link.ping_interval()).await;
    }
}

/// Reads the answer to a ping. If it is late, ways that lead over the link are left without waiting for the next
/// round of gossip; and then nothing is begun on it any more, though there is no other way.
async fn answered(inner: &Inner, link: &Link, recv: &mut RecvStream, echo: &mut [u8]) -> Option<()> {
    let answer = recv.read_exact(echo);
    tokio::pin!(answer);
    let in_time = timeout_at(link.noticed_at(), &mut answer).await;
    let outcome = match in_time {
        Ok(outcome) => outcome,
        Err(_) => {
            inner.gossip().wake();
            let quiet = link.noticed_at() + (link.quiet_after() - link.timeout);
            match timeout_at(quiet, &mut answer).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    inner.look(link.peer);
                    (&mut answer).await
                }
            }
        }
    };
    outcome.ok()
}

/// Sends a peer's pings back.
async fn echo(mut send: Outgoing, mut recv: RecvStream) {
    let mut bytes = [0; PING_BYTES];
    while recv.read_exact(&mut bytes).await.is_ok() {
        if send.write(&mut [Bytes::copy_from_slice(&bytes)]).await.is_err() {
            return;
        }
    }
}
