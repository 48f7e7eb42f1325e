//! Orders certificates when they are due. Every node with a clerk is ready to; one at a time has the turn.
//!
//! ```text
//!   look at what this replica has ──► something is due ──► take the turn, if nobody has it
//!        ▲                                                     └─► look again, certainly ──► note that one is begun
//!        │                                                               └─► order, and keep the turn alive meanwhile
//!        └──────────────── end the turn ◄── note the certificate, or what was in the way ◄──┘
//! ```
//!
//! A node that crashes in the midst leaves its turn, which ends, and the note, which counts as a failure.

use crate::{
    acme::{
        Domain,
        book::{Book, Kept, Turn},
        order::{Failure, Office},
        plan::{Setback, Step, step},
        showcase::Showcase,
        trouble::{self, Trouble},
    },
    network::NodeCard,
};
use micro_mesh::Mesh;
use micro_sdk::wire::Fault;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How often it is looked whether something is due.
const EVERY: Duration = Duration::from_secs(1);
/// How long an order may take: public authorities take seconds, some a few minutes.
const ORDER_LIMIT: Duration = Duration::from_secs(300);
/// How often the turn is kept alive: it lasts for three of them.
const KEEP_EVERY: Duration = Duration::from_secs(10);
/// The pause after an order that came to nothing, whatever the records say: they may be what is in the way.
const PAUSE: Duration = Duration::from_secs(5);
/// From five sixths of a certificate's life on it is told that it was not renewed, even if nobody failed to.
const LATE: (u64, u64) = (5, 6);

/// Looks after the certificates of this node's domains.
pub(crate) struct Clerk {
    pub mesh: Mesh,
    pub book: Book,
    pub office: Office,
    pub showcase: Arc<Showcase>,
}

impl Clerk {
    /// Does it until it is dropped.
    pub async fn run(self) {
        let (mut told, mut rest_until) = (String::new(), Instant::now());
        loop {
            let mut troubles = Vec::new();
            for domain in &self.showcase.settings().domains {
                let kept = match self.book.kept(domain, true).await {
                    Ok(kept) => kept,
                    Err(fault) => {
                        tracing::warn!(%domain, %fault, "what is kept of certificates can't be read");
                        continue;
                    }
                };
                troubles.extend(self.trouble(domain, &kept));
                let step = self.step(domain, &kept);
                if matches!(step, Step::Order | Step::Renew) && Instant::now() >= rest_until {
                    // Told before: an order may take minutes.
                    self.tell(&mut told, &troubles);
                    if let Err(fault) = self.take_up(domain).await {
                        tracing::warn!(%domain, %fault, "a certificate could not be ordered");
                        rest_until = Instant::now() + PAUSE;
                    }
                }
            }
            self.tell(&mut told, &troubles);
            sleep(EVERY).await;
        }
    }

    /// What is to be done for a domain. A certificate that this mesh can't use is none.
    fn step(&self, domain: &Domain, Kept { certificate, setback }: &Kept) -> Step {
        let unusable = |version| {
            self.showcase.exhibit(domain).is_some_and(|shown| shown.version == version && shown.key.is_none())
        };
        let usable = certificate.as_ref().filter(|(_, version)| !unusable(*version));
        step(usable.map(|(certificate, _)| certificate.validity), setback.as_ref(), self.book.now_ms())
    }

    /// What is wrong with a domain, if something is.
    fn trouble(&self, domain: &Domain, Kept { setback, .. }: &Kept) -> Option<Trouble> {
        let why = setback.as_ref().map(|setback| setback.why.clone()).unwrap_or_default();
        let shown = self.showcase.exhibit(domain).filter(|exhibit| exhibit.key.is_some());
        let ends_s = match shown {
            None => 0,
            Some(shown) => {
                let life_ms = shown.validity.ends_ms.saturating_sub(shown.validity.issued_ms);
                let late_ms = shown.validity.issued_ms + life_ms / LATE.1 * LATE.0;
                if why.is_empty() && self.book.now_ms() < late_ms {
                    return None;
                }
                shown.validity.ends_ms / 1000
            }
        };
        Some(Trouble { domain: domain.to_string(), ends_s, why })
    }

    /// Tells the other nodes what is wrong, if that has changed.
    fn tell(&self, told: &mut String, troubles: &[Trouble]) {
        let now = trouble::told(troubles);
        if now != *told {
            NodeCard::publish_troubles(&self.mesh, &now);
            *told = now;
        }
    }

    /// Orders a certificate, if nobody else does and it is still due.
    async fn take_up(&self, domain: &Domain) -> Result<(), Fault> {
        let Some(turn) = self.book.take_turn(self.mesh.node()).await? else { return Ok(()) };
        let outcome = self.in_turn(turn, self.order(domain, turn)).await;
        let ended = self.book.end_turn(turn).await;
        outcome.and(ended)
    }

    /// Does `work` for as long as this node has its turn.
    async fn in_turn<T>(&self, turn: Turn, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = work.as_mut() => return done,
                () = sleep(KEEP_EVERY) => self.book.keep_turn(turn, self.mesh.node()).await?,
            }
        }
    }

    async fn order(&self, domain: &Domain, turn: Turn) -> Result<(), Fault> {
        let node = self.mesh.node();
        let kept = self.book.kept(domain, false).await?;
        let step = self.step(domain, &kept);
        if !matches!(step, Step::Order | Step::Renew) {
            return Ok(());
        }
        let begun = Setback::begun(kept.setback.as_ref(), self.book.now_ms(), self.chance());
        self.book.set_setback(turn, node, domain, &begun).await?;
        tracing::info!(%domain, renewal = step == Step::Renew, "a certificate for the HTTP api is ordered");
        let ordered = timeout(ORDER_LIMIT, self.office.order(turn, node, domain));
        let failure = match ordered.await {
            Ok(Ok(certificate)) => {
                self.book.set_certificate(turn, node, domain, &certificate).await?;
                tracing::info!(%domain, "the certificate for the HTTP api was ordered");
                return Ok(());
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::new(format!("it took longer than {} s", ORDER_LIMIT.as_secs())),
        };
        self.showcase.count_failure();
        let Failure { why, limited, .. } = failure;
        let failed = begun.failed(&why, limited, self.book.now_ms(), self.chance());
        let again_s = failed.next_ms.saturating_sub(self.book.now_ms()) / 1000;
        tracing::warn!(%domain, why = failed.why, again_s, "the certificate for the HTTP api could not be ordered");
        self.book.set_setback(turn, node, domain, &failed).await
    }

    fn chance(&self) -> u16 {
        u16::from_le_bytes(self.book.seams.random())
    }
}
