//! A call whose request or answer is a stream, as the service has it: what the caller says, and what is said to it.
//!
//! ```text
//!   messages of the caller ──► Inbox ──► handler ──► Outbox ──► Conversation ──► messages to the caller
//! ```
//!
//! Nothing is gathered: the caller is read as the handler asks for more, and the handler goes on as the caller reads.

use super::{Outcome, decode, encode};
use crate::wire::{Code, Fault};
use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    marker::PhantomData,
    pin::{Pin, pin},
    task::{Context, Poll},
};
use tokio::sync::mpsc;

/// What the handler may have said that the caller has not taken. It and the caller's side are polled by the same task,
/// so that more would save nothing, and be as many messages of 16 MiB in memory.
const UNREAD_MAX: usize = 1;

/// What the caller says: messages in JSON, as they come.
pub struct Inbox {
    endpoint: &'static str,
    messages: BoxStream<'static, Result<Bytes, Fault>>,
}

impl Inbox {
    /// The messages of a call.
    pub(super) fn new(messages: impl Stream<Item = Result<Bytes, Fault>> + Send + 'static) -> Inbox {
        Inbox { endpoint: "the endpoint", messages: messages.boxed() }
    }

    /// The sole message of a caller who says one.
    ///
    /// # Errors
    /// `Usage` if there is none, more than one, or if it is not what `endpoint` takes.
    pub async fn one<T: DeserializeOwned>(mut self, endpoint: &'static str) -> Result<T, Fault> {
        let usage = |what: &str| Fault::new(Code::Usage, format!("{endpoint} takes one message, and {what}"));
        let first = self.messages.next().await.ok_or_else(|| usage("there was none"))??;
        let request = decode(endpoint, &first)?;
        match self.messages.next().await {
            None => Ok(request),
            Some(Err(fault)) => Err(fault),
            Some(Ok(_)) => Err(usage("there was another")),
        }
    }

    /// The messages, each as `endpoint` takes it.
    pub fn all<T: DeserializeOwned>(self, endpoint: &'static str) -> Streaming<T> {
        Streaming { inbox: Inbox { endpoint, ..self }, ended: false, message: PhantomData }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// What an endpoint takes whose caller says any number of messages: they come as they are said.
///
/// It ends when the caller has no more to say. A message that is not a `T`, and a caller that goes away, is an error,
/// and the last that comes.
pub struct Streaming<T> {
    inbox: Inbox,
    ended: bool,
    message: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Stream for Streaming<T> {
    type Item = Result<T, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.inbox.messages.poll_next_unpin(context);
        let endpoint = self.inbox.endpoint;
        let read = polled.map(|next| next.map(|message| decode(endpoint, &message?)));
        self.ended = matches!(read, Poll::Ready(None | Some(Err(_))));
        read
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").field("endpoint", &self.inbox.endpoint).finish_non_exhaustive()
    }
}

/// Where a service says what it answers: messages in JSON, each taken as the caller has room for it.
#[derive(Debug)]
pub struct Outbox(mpsc::Sender<Bytes>);

impl Outbox {
    /// Says the sole answer.
    ///
    /// # Errors
    /// The outcome's own, and `Failed` if the answer can't be JSON.
    pub async fn answer<O: Outcome<Ok: Serialize>>(&self, outcome: O) -> Result<(), Fault> {
        self.say(encode(outcome)?).await
    }

    /// Says all that a stream gives.
    ///
    /// # Errors
    /// The outcome's own, the first of the stream, and `Failed` if an answer can't be JSON.
    pub async fn answer_all<O, S>(&self, outcome: O) -> Result<(), Fault>
    where
        O: Outcome<Ok = S>,
        S: Stream<Item: Outcome<Ok: Serialize>>,
    {
        let answers = outcome.into_result()?;
        let mut answers = pin!(answers);
        while let Some(answer) = answers.next().await {
            self.answer(answer).await?;
        }
        Ok(())
    }

    /// Says a message.
    ///
    /// # Errors
    /// `Unreachable` if nobody listens any more.
    pub async fn say(&self, message: Bytes) -> Result<(), Fault> {
        let gone = |_| Fault::new(Code::Unreachable, "the caller has gone away").effect_unknown();
        self.0.send(message).await.map_err(gone)
    }
}

/// The messages that `work` says into the outbox it is given, and then, if it fails, why. Dropped, so is the work.
pub(super) fn conversation(
    work: impl FnOnce(Outbox) -> BoxFuture<'static, Result<(), Fault>>,
) -> impl Stream<Item = Result<Bytes, Fault>> + Send + 'static {
    let (sender, said) = mpsc::channel(UNREAD_MAX);
    let conversation = Conversation { said, work: Some(work(Outbox(sender))), failed: None };
    stream::unfold(conversation, |mut conversation| async move {
        let next = conversation.next().await?;
        Some((next, conversation))
    })
}

struct Conversation {
    said: mpsc::Receiver<Bytes>,
    /// None once it is over.
    work: Option<BoxFuture<'static, Result<(), Fault>>>,
    /// Why it failed, until that is told: what was said before comes first.
    failed: Option<Fault>,
}

impl Conversation {
    async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        while let Some(work) = &mut self.work {
            tokio::select! {
                biased;
                Some(message) = self.said.recv() => return Some(Ok(message)),
                ended = work => {
                    self.work = None;
                    self.failed = ended.err();
                }
            }
        }
        // Its outbox went with the work, so that this is all there is.
        match self.said.recv().await {
            Some(message) => Some(Ok(message)),
            None => self.failed.take().map(Err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::pending;
    use serde_json::{Value, json};
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    fn inbox(messages: &[&'static str]) -> Inbox {
        let messages: Vec<_> = messages.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect();
        Inbox::new(stream::iter(messages))
    }

    #[tokio::test]
    async fn one_message_is_exactly_one() {
        assert_eq!(inbox(&["7"]).one::<u8>("A.b").await, Ok(7));
        for messages in [&[][..], &["7", "8"], &["x"]] {
            assert_eq!(inbox(messages).one::<u8>("A.b").await.expect_err("not one").code, Code::Usage);
        }
    }

    #[tokio::test]
    async fn a_message_that_does_not_fit_is_the_last() {
        let read: Vec<Result<u8, Fault>> = inbox(&["1", "x", "2"]).all("A.b").collect().await;
        assert_eq!((read.len(), &read[0]), (2, &Ok(1)));
        assert!(read[1].as_ref().is_err_and(|fault| fault.message.contains("A.b")), "{read:?}");
    }

    #[tokio::test]
    async fn what_was_said_comes_before_the_failure() {
        let said: Vec<_> = conversation(|outbox| {
            Box::pin(async move {
                let numbers = stream::iter([Ok(1), Ok(2), Err(Fault::new(Code::Conflict, "three"))]);
                outbox.answer_all(Ok::<_, Fault>(numbers)).await
            })
        })
        .collect()
        .await;
        let texts: Vec<Value> = said
            .iter()
            .map(|said| match said {
                Ok(message) => serde_json::from_slice(message).expect("it is JSON"),
                Err(fault) => json!(fault.message),
            })
            .collect();
        assert_eq!(texts, [json!(1), json!(2), json!("three")]);
    }

    #[tokio::test]
    async fn the_service_is_no_further_than_the_caller() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let endless = stream::repeat_with(move || Ok::<_, Fault>(count.fetch_add(1, Ordering::Relaxed)));
        let said =
            conversation(|outbox| Box::pin(async move { outbox.answer_all(Ok::<_, Fault>(endless)).await }));
        let mut said = pin!(said);
        for number in 0..3_usize {
            let next = said.next().await.expect("it goes on").expect("it says a number");
            assert_eq!(next, number.to_string());
            assert!(made.load(Ordering::Relaxed) <= number + 3);
        }
    }

    #[tokio::test]
    async fn work_is_dropped_with_its_conversation() {
        let held = Arc::new(());
        let watched = Arc::downgrade(&held);
        let said = conversation(move |outbox| {
            Box::pin(async move {
                let _held = held;
                outbox.answer(Ok::<_, Fault>(1)).await?;
                pending::<Result<(), Fault>>().await
            })
        });
        let mut said = Box::pin(said);
        assert_eq!(said.next().await, Some(Ok(Bytes::from_static(b"1"))));
        assert!(watched.upgrade().is_some());
        drop(said);
        assert!(watched.upgrade().is_none());
    }
}
