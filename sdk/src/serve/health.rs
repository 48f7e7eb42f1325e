//! How the node finds out whether an instance works.

use crate::{proto, wire::Fault};
use futures::future::BoxFuture;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::timeout;

/// From the beginning of a check to that of the next, unless it is said otherwise.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long a check may take, unless it is said otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How many failures in a row count, unless it is said otherwise: one may be lost when a program is busy.
const UNHEALTHY_AFTER: u32 = 3;

/// A check of the service's own.
type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Fault>> + Send + Sync>;

/// A check of an instance. Callers are led to instances whose last checks passed, and to no others; `micro-node
/// services NAME` shows all, with why.
#[derive(Clone)]
pub struct HealthCheck {
    kind: Kind,
    interval: Duration,
    timeout: Duration,
    unhealthy_after: u32,
    healthy_after: u32,
}

#[derive(Clone)]
enum Kind {
    Tcp,
    Http(String),
    Grpc { service: String, if_there: bool },
    Own(Probe),
    Reported,
}

impl HealthCheck {
    fn of(kind: Kind) -> Self {
        let (interval, timeout) = (INTERVAL, TIMEOUT);
        HealthCheck { kind, interval, timeout, unhealthy_after: UNHEALTHY_AFTER, healthy_after: 1 }
    }

    /// The node makes a TCP connection.
    pub fn tcp() -> Self {
        Self::of(Kind::Tcp)
    }

    /// The node sends `GET` of this path, and is answered with a status from 200 to 399.
    pub fn http(path: impl Into<String>) -> Self {
        Self::of(Kind::Http(path.into()))
    }

    /// The node asks `grpc.health.v1.Health/Check` for a service, or for the server as a whole if it is empty.
    pub fn grpc(service: impl Into<String>) -> Self {
        Self::of(Kind::Grpc { service: service.into(), if_there: false })
    }

    /// The same for a server that may not know the question: then a TCP connection is enough.
    pub fn grpc_if_there() -> Self {
        Self::of(Kind::Grpc { service: String::new(), if_there: true })
    }

    /// The service checks itself, and tells the node. The message of the fault is the reason that people see.
    pub fn own<F>(probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        Self::of(Kind::Own(Arc::new(move || Box::pin(probe()))))
    }

    /// Nobody checks: whoever registered the instance reports how it is (`Registry::report_health`). For what is
    /// registered; a service that is attached has a check of its own instead.
    pub fn reported() -> Self {
        Self::of(Kind::Reported)
    }

    /// From the beginning of a check to that of the next; 5 s unless set.
    #[must_use]
    pub fn interval(self, interval: Duration) -> Self {
        HealthCheck { interval, ..self }
    }

    /// How long a check may take; 1 s unless set.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        HealthCheck { timeout, ..self }
    }

    /// How many failures in a row make an instance failing; 3 unless set.
    #[must_use]
    pub fn unhealthy_after(self, count: u32) -> Self {
        HealthCheck { unhealthy_after: count.max(1), ..self }
    }

    /// How many successes in a row make it passing; 1 unless set.
    #[must_use]
    pub fn healthy_after(self, count: u32) -> Self {
        HealthCheck { healthy_after: count.max(1), ..self }
    }

    /// How often the service has something to report of it, if it has.
    pub(super) fn reports_every(&self) -> Option<Duration> {
        matches!(self.kind, Kind::Own(_)).then_some(self.interval)
    }

    /// Makes the check, if it is the service's own.
    pub(super) async fn run(&self) -> Result<(), Fault> {
        let Kind::Own(probe) = &self.kind else { return Ok(()) };
        let late = || {
            let message = format!("no result within {:?}", self.timeout);
            Err(Fault::new(crate::wire::Code::Timeout, message))
        };
        timeout(self.timeout, probe()).await.unwrap_or_else(|_| late())
    }

    /// As the node is told of it.
    pub(crate) fn message(&self) -> proto::HealthCheck {
        use proto::health_check::{Grpc, Http, Kind as Told, Reported, Tcp};
        let kind = match &self.kind {
            Kind::Tcp => Told::Tcp(Tcp {}),
            Kind::Http(path) => Told::Http(Http { path: path.clone() }),
            Kind::Grpc { service, if_there } => {
                Told::Grpc(Grpc { service: service.clone(), if_there: *if_there })
            }
            Kind::Own(_) | Kind::Reported => Told::Reported(Reported {}),
        };
        proto::HealthCheck {
            kind: Some(kind),
            interval_ms: milliseconds(self.interval),
            timeout_ms: milliseconds(self.timeout),
            unhealthy_after: self.unhealthy_after,
            healthy_after: self.healthy_after,
        }
    }
}

/// A time as the node is told it: never 0, which would mean that nothing is said.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl fmt::Debug for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}
