//! Calls: one request and one answer on a stream of their own.

use crate::{
    handler::Handler,
    lane::CALL_PRIORITY,
    link::{GatherError, Link, Outgoing, describe, gather},
    mesh::Inner,
    prelude::Kind,
};
use bytes::Bytes;
use micro_sdk::wire::{
    Code, Codec, Fault, Head, NodeId,
    limits::{BODY_BYTES_MAX, DEADLINE_MS_MAX, HEAD_BYTES_MAX},
};
use quinn::RecvStream;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};

/// The answer is a body.
const OK: u8 = 0;
/// The answer is a fault.
const FAULT: u8 = 1;
/// The longest encoded fault.
pub(crate) const FAULT_BYTES_MAX: usize = 64 << 10;
/// How long a request may take to come in after its head, if its deadline is longer: it is sent as one.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long QUIC may take to accept an answer: the caller's own deadline ends it sooner.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an answer may take to arrive at a peer when this node stops.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// When a call with `head` ends.
pub(crate) fn deadline(head: &Head) -> Instant {
    Instant::now() + Duration::from_millis(head.deadline_ms.min(DEADLINE_MS_MAX).into())
}

/// The fault of a call whose time is over.
pub(crate) fn timed_out(head: &Head, sent: bool) -> Fault {
    let fault = Fault::new(
        Code::Timeout,
        format!("{} {} did not answer within {} ms", head.service, head.endpoint, head.deadline_ms),
    );
    if sent { fault.effect_unknown() } else { fault }
}

/// Refuses a body that no call may carry.
pub(crate) fn check_body(what: &str, body: &Bytes) -> Result<(), Fault> {
    if body.len() <= BODY_BYTES_MAX {
        return Ok(());
    }
    let length = body.len();
    Err(Fault::new(
        Code::Usage,
        format!("{what} of {length} bytes is more than the {BODY_BYTES_MAX} that a call may carry"),
    ))
}

/// Sends a call over `link`, with what is left of its time, and waits for the answer.
///
/// `sent` is set just before the peer may act on it.
pub(crate) async fn send_call(
    link: &Arc<Link>,
    head: &Head,
    body: Bytes,
    deadline: Instant,
    sent: &AtomicBool,
) -> Result<Bytes, Fault> {
    let lost = |reason: &str| {
        let fault =
            Fault::new(Code::Unreachable, format!("the link to node {} is gone: {reason}", link.peer));
        if sent.load(Ordering::Relaxed) { fault.effect_unknown() } else { fault }
    };
    let (mut send, mut recv, _guard) =
        link.open(CALL_PRIORITY).await.map_err(|error| lost(&describe(&error)))?;
    let left = deadline.saturating_duration_since(Instant::now()).as_millis();
    let head = Head { deadline_ms: u32::try_from(left).unwrap_or(DEADLINE_MS_MAX), ..head.clone() };
    let request = frame_head(Kind::Call, &head)?;
    // A peer that refuses the request stops it, and says why in its answer.
    match send.write(&mut [request, body]).await {
        Ok(()) => {
            sent.store(true, Ordering::Relaxed);
            send.finish();
        }
        Err(quinn::WriteError::Stopped(_)) => {}
        Err(error) => return Err(lost(&error.to_string())),
    }
    let answer = gather(&mut recv, BODY_BYTES_MAX + 1).await.map_err(|error| match error {
        GatherError::TooLarge(_) => {
            Fault::new(Code::Failed, format!("the answer is longer than {BODY_BYTES_MAX} bytes"))
                .effect_unknown()
        }
        GatherError::Reset(_) => lost("the peer has given the call up"),
        GatherError::Lost(reason) => lost(&reason),
    })?;
    parse_answer(answer)
}

/// Kind, length of the head, head.
///
/// # Errors
/// [`Code::Usage`] if the head is too long.
pub(crate) fn frame_head(kind: Kind, head: &Head) -> Result<Bytes, Fault> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(&[kind as u8, 0, 0, 0, 0]);
    Codec::encode_into(head, &mut bytes);
    let length = bytes.len() - 5;
    if length > HEAD_BYTES_MAX {
        return Err(Fault::new(
            Code::Usage,
            format!("a head of {length} bytes is more than the {HEAD_BYTES_MAX} that a call may carry"),
        )
        .help("send less metadata"));
    }
    bytes[1..5].copy_from_slice(&u32::try_from(length).expect("checked above").to_le_bytes());
    Ok(Bytes::from(bytes))
}

/// Takes an answer apart.
pub(crate) fn parse_answer(answer: Bytes) -> Result<Bytes, Fault> {
    match answer.first() {
        Some(&OK) => Ok(answer.slice(1..)),
        Some(&FAULT) => Err(Codec::decode::<Fault, FAULT_BYTES_MAX>(&answer[1..]).unwrap_or_else(|error| {
            Fault::new(Code::Failed, format!("the call failed, and its fault can't be read: {error}"))
                .effect_unknown()
        })),
        _ => Err(Fault::new(Code::Failed, "the answer is garbled").effect_unknown()),
    }
}

/// Sends an answer.
pub(crate) async fn send_answer(send: &mut Outgoing, answer: Result<Bytes, Fault>) {
    let mut pieces = match answer {
        Ok(body) => [Bytes::from_static(&[OK]), body],
        Err(fault) => {
            let mut bytes = vec![FAULT];
            Codec::encode_into(&fault, &mut bytes);
            [Bytes::from(bytes), Bytes::new()]
        }
    };
    if send.write(&mut pieces).await.is_ok() {
        send.finish();
    }
}

/// Reads a call from a stream, has it worked, answers.
pub(crate) async fn answer_call(inner: &Arc<Inner>, from: NodeId, mut send: Outgoing, mut recv: RecvStream) {
    let stopped = send.stopped();
    tokio::pin!(stopped);
    let mut permit = None;
    let work = async {
        let request = timeout(REQUEST_TIMEOUT, read_request(inner, &mut recv)).await;
        let (head, body, taken) = request
            .unwrap_or_else(|_| Err(Fault::new(Code::Timeout, "the request did not come in as a whole")))?;
        permit = Some(taken);
        let handler = inner
            .handler()
            .await
            .ok_or_else(|| Fault::new(Code::Unavailable, "the node is shutting down"))?;
        work_call(&*handler, from, head, body).await
    };
    let answer = tokio::select! {
        biased;
        () = &mut stopped => return, // The caller has gone away: so does the work.
        () = inner.closed() => return,
        answer = work => answer,
    };
    let _ = timeout(ANSWER_TIMEOUT, send_answer(&mut send, answer)).await;
    if inner.is_draining() {
        // The connection is closed next, and with it goes what has not arrived.
        let _ = timeout(FAREWELL, stopped).await;
    }
    drop(permit);
}

/// Has `handler` work a call within its deadline.
pub(crate) async fn work_call(
    handler: &dyn Handler,
    from: NodeId,
    head: Head,
    body: Bytes,
) -> Result<Bytes, Fault> {
    let deadline = deadline(&head);
    let late = timed_out(&head, true);
    let answer = timeout_at(deadline, handler.call(from, head, body)).await.unwrap_or(Err(late))?;
    check_body("the answer", &answer)
        .map_err(|fault| Fault { code: Code::Failed, ..fault }.effect_unknown())?;
    Ok(answer)
}

/// Head, body, and the permit to work on them.
async fn read_request(
    inner: &Arc<Inner>,
    recv: &mut RecvStream,
) -> Result<(Head, Bytes, tokio::sync::OwnedSemaphorePermit), Fault> {
    let permit = inner.calls.clone().try_acquire_owned().map_err(|_| {
        Fault::new(Code::Unavailable, format!("node {} has too many calls under way", inner.node))
            .help("try again in a moment")
    })?;
    let head = read_head(recv).await?;
    let body = gather(recv, BODY_BYTES_MAX).await.map_err(|error| garbled(&error))?;
    Ok((head, body, permit))
}

/// The head that a request begins with, behind its length.
///
/// # Errors
/// [`Code::Usage`] for what is none.
pub(crate) async fn read_head(recv: &mut RecvStream) -> Result<Head, Fault> {
    let mut length = [0; 4];
    recv.read_exact(&mut length).await.map_err(|error| garbled(&error))?;
    let length = u32::from_le_bytes(length) as usize;
    if length > HEAD_BYTES_MAX {
        return Err(garbled(&format!("its head of {length} bytes is more than {HEAD_BYTES_MAX}")));
    }
    let mut head = vec![0; length];
    recv.read_exact(&mut head).await.map_err(|error| garbled(&error))?;
    Codec::decode::<_, HEAD_BYTES_MAX>(&head).map_err(|error| garbled(&error))
}

fn garbled(reason: &dyn std::fmt::Display) -> Fault {
    Fault::new(Code::Usage, format!("the request is garbled: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::{Caller, Namespace, TraceId};

    fn head() -> Head {
        Head {
            namespace: Namespace::default(),
            service: "a".parse().expect("a name"),
            endpoint: "b".to_owned(),
            caller: Caller::Admin,
            trace: TraceId(1),
            deadline_ms: 5,
            hops: 0,
            idempotency_key: None,
            metadata: Vec::new(),
            instance: None,
            attempts: None,
        }
    }

    #[test]
    fn layout_is_frozen() {
        let request = frame_head(Kind::Call, &head()).expect("a small head");
        let golden = b"\x01\x16\0\0\0\x01\0\x07default\x01a\x01b\0\x01\x05\0\0\0\0\0";
        assert_eq!(&request[..], golden);
        assert_eq!(parse_answer(Bytes::from_static(b"\0abc")), Ok(Bytes::from_static(b"abc")));
        let fault = Fault::new(Code::NotFound, "x");
        let mut bytes = vec![1];
        Codec::encode_into(&fault, &mut bytes);
        assert_eq!(parse_answer(Bytes::from(bytes)), Err(fault));
    }

    #[test]
    fn garbled_answers_are_faults_of_unknown_effect() {
        for bytes in [&[][..], &[9], &[1], &[1, 1, 0]] {
            let fault = parse_answer(Bytes::copy_from_slice(bytes)).expect_err("garbled");
            assert_eq!(fault.effect, micro_sdk::wire::Effect::Unknown, "{bytes:?}");
        }
    }

    #[test]
    fn a_head_that_is_too_long_is_refused_here() {
        let metadata = vec![("a".to_owned(), "b".repeat(HEAD_BYTES_MAX))];
        let fault = frame_head(Kind::Call, &Head { metadata, ..head() }).expect_err("too long");
        assert_eq!(fault.code, Code::Usage);
    }
}
