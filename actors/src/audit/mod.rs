//! What is told of decisions to whoever keeps them: who asked for what, where they came in, and what was said.
//!
//! ```text
//! authorize, login, a door that refuses ──► Audit ──► a queue with a bound ──► AuditIntake: files of the node
//! ```
//!
//! To tell waits for nobody. What finds no room in the queue is counted, and the number is told as soon as there is
//! room. Where nobody keeps anything, as in a simulation, there is no queue.

mod event;
mod log;
mod origin;
mod watch;

pub use event::{AuditEvent, Verdict};
pub use log::{AuditLog, AuditReading};
pub use origin::{Asker, Origin};
pub(crate) use watch::AuditWatch;

use crate::{
    Action,
    auth::{AUTH, READ, Resource, SECRETS, WRITE},
    config::CONFIG,
    network::NETWORK,
};
use micro_sdk::wire::{Caller, Seams};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

/// How many events may wait to be written: a second's worth of refusals at the pace at which a disk takes them, in
/// about 2 MiB. Fewer would be dropped by a burst that the disk could have taken; more would only hide that it can't.
const QUEUE: usize = 4096;
/// How many events are handed over at once: their lines are one write.
const BATCH: usize = 256;
/// What backups are to rules: they hold all that is a secret of the store.
const BACKUP: &str = "backup";

/// What is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditExtent {
    /// Nothing.
    Off,
    /// What is refused; what changes accounts, rules, keys, configuration and membership; what shows secrets; logins.
    #[default]
    Changes,
    /// All that callers ask for, reads and calls of services too.
    All,
}

impl AuditExtent {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            AuditExtent::Off => "off",
            AuditExtent::Changes => "changes",
            AuditExtent::All => "all",
        }
    }
}

/// Where decisions are told. Clones share everything.
#[derive(Clone, Default)]
pub struct Audit(Option<Arc<Inner>>);

struct Inner {
    extent: AuditExtent,
    seams: Seams,
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

enum Message {
    Event(Box<AuditEvent>),
    Close,
}

/// The other end of the queue.
pub struct AuditIntake {
    queue: Receiver<Message>,
    dropped: Arc<AtomicU64>,
    told: u64,
}

/// What there is to write.
#[derive(Debug, Default)]
pub struct AuditBatch {
    /// In the order in which they were told.
    pub events: Vec<AuditEvent>,
    /// How many more there were that found no room.
    pub dropped: u64,
    /// Whether nothing comes after this.
    pub last: bool,
}

impl Audit {
    /// One that tells nobody.
    pub fn off() -> Self {
        Audit(None)
    }

    /// One that tells what `extent` says, and the other end of it.
    pub fn new(extent: AuditExtent, seams: Seams) -> (Self, AuditIntake) {
        let (queue, taken) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let intake = AuditIntake { queue: taken, dropped: dropped.clone(), told: 0 };
        (Audit(Some(Arc::new(Inner { extent, seams, queue, dropped }))), intake)
    }

    /// How many events found no room so far.
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.dropped.load(Ordering::Relaxed))
    }

    /// Tells of a decision, if it is one that matters.
    pub(crate) fn decided(&self, asker: Asker<'_>, action: Action, resource: &Resource<'_>, granted: bool) {
        let Some(inner) = &self.0 else { return };
        let told = match granted {
            false => inner.extent != AuditExtent::Off,
            true => !asker.again && inner.extent.tells(asker.caller, action, resource),
        };
        if told {
            self.tell(AuditEvent::decided(asker, action, resource, granted));
        }
    }

    /// Tells of what is no decision by rules: a login, a caller that a door does not let in.
    pub fn tell(&self, mut event: AuditEvent) {
        let Some(inner) = self.0.as_ref().filter(|inner| inner.extent != AuditExtent::Off) else { return };
        event.time = inner.seams.clock.now();
        // What began in no trace begins one here: each entry can be named.
        event.trace.get_or_insert_with(|| inner.seams.trace_id());
        if inner.queue.try_send(Message::Event(Box::new(event))).is_err() {
            inner.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says that nothing comes any more. What was told before is written.
    pub fn close(&self) {
        if let Some(inner) = &self.0 {
            // Whoever is gone already needs no word.
            let _ = inner.queue.send(Message::Close);
        }
    }
}

impl AuditExtent {
    /// Whether what was granted is worth a line. What nodes ask of each other follows from what callers asked of one.
    fn tells(self, caller: &Caller, action: Action, resource: &Resource<'_>) -> bool {
        if matches!(caller, Caller::Node(_)) {
            return false;
        }
        match self {
            AuditExtent::Off => false,
            AuditExtent::All => true,
            AuditExtent::Changes => match resource.kind {
                AUTH | CONFIG | NETWORK if action == Action::UseByName => true,
                AUTH | CONFIG | NETWORK if action == Action::UsePlatform => match resource.endpoint {
                    WRITE | SECRETS => true,
                    READ => resource.is_named(BACKUP) && resource.kind == NETWORK,
                    _ => false,
                },
                _ => false,
            },
        }
    }
}

impl AuditIntake {
    /// Waits for events as long as `patience`, and takes all that are there.
    pub fn next(&mut self, patience: Duration) -> AuditBatch {
        let mut batch = AuditBatch::default();
        let first = self.queue.recv_timeout(patience);
        let mut next = first.map_err(|error| error == RecvTimeoutError::Disconnected);
        loop {
            match next {
                Ok(Message::Event(event)) => batch.events.push(*event),
                Ok(Message::Close) | Err(true) => batch.last = true,
                Err(false) => break,
            }
            if batch.last || batch.events.len() >= BATCH {
                break;
            }
            next = self.queue.try_recv().map_err(|_empty| false);
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        batch.dropped = dropped - self.told;
        self.told = dropped;
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::{account, seams};
    use micro_sdk::wire::{Namespace, NodeId};

    fn taken(intake: &mut AuditIntake) -> Vec<String> {
        let batch = intake.next(Duration::ZERO);
        batch.events.into_iter().map(|event| format!("{} {:?}", event.resource, event.verdict)).collect()
    }

    #[test]
    fn what_matters_is_told_and_refusals_always_matter() {
        let home = Namespace::default();
        let of = |kind, name, endpoint| Resource::of(&home, kind, name, endpoint);
        let use_platform = Action::UsePlatform;
        let cases = [
            (use_platform, of("auth", "rules", "write"), true),
            (use_platform, of("auth", "rules", "read"), false),
            (use_platform, of("config", "shop.key", "secrets"), true),
            (use_platform, of("config", "shop", "write"), true),
            (use_platform, Resource::of_mesh("network", "tokens", "write"), true),
            (use_platform, Resource::of_mesh("network", "backup", "read"), true),
            (use_platform, Resource::of_mesh("network", "status", "read"), false),
            (use_platform, of("store", "default/users", "write"), false),
            (Action::UseByName, Resource::of_mesh("auth", "", "create-account"), true),
            (Action::CallService, Resource::of_service(&home, "config", "write"), false),
        ];
        let jane = account("default", &[]);
        for extent in [AuditExtent::Changes, AuditExtent::All, AuditExtent::Off] {
            let (audit, mut intake) = Audit::new(extent, seams());
            for (action, resource, matters) in cases {
                for (caller, granted, again, expected) in [
                    (&jane, true, false, matters || extent == AuditExtent::All),
                    (&jane, true, true, false),
                    (&Caller::Node(NodeId(1)), true, false, false),
                    (&jane, false, false, true),
                    (&jane, false, true, true),
                ] {
                    let asker = Asker { again, ..Asker::of(caller) };
                    audit.decided(asker, action, &resource, granted);
                    let told = taken(&mut intake);
                    let expected = usize::from(expected && extent != AuditExtent::Off);
                    assert_eq!(
                        told.len(),
                        expected,
                        "{extent:?} {action:?} {resource} {granted} {again}: {told:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_once() {
        let (audit, mut intake) = Audit::new(AuditExtent::Changes, seams());
        let refused = || AuditEvent::refused(Asker::of(&Caller::Stranger), "enter", "/x", "no");
        for _ in 0..QUEUE + 7 {
            audit.tell(refused());
        }
        assert_eq!(audit.dropped(), 7);
        let first = intake.next(Duration::ZERO);
        assert_eq!((first.events.len(), first.dropped, first.last), (BATCH, 7, false));
        assert_eq!(intake.next(Duration::ZERO).dropped, 0);
        let mut rest = QUEUE - 2 * BATCH;
        audit.close();
        loop {
            let batch = intake.next(Duration::ZERO);
            rest -= batch.events.len();
            if batch.last {
                break;
            }
        }
        assert_eq!(rest, 0, "all that found room is taken before the end");
    }
}
