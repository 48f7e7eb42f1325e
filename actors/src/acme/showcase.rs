//! What this node shows to those who call its HTTP api over TLS: certificates, and the answers to challenges.
//!
//! Certificates lie in its memory and are looked up for each handshake. Answers to challenges are few and must not be
//! late: they are asked of the mesh when somebody wants to see one, so it does not matter which node began the order,
//! nor how far this one's replica is.

use crate::acme::{AcmeSettings, Domain, plan::Validity};
use rustls::sign::CertifiedKey;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How many challenges may wait to be answered: authorities ask from a handful of places at once.
const QUESTIONS_MAX: usize = 64;
/// How long an answer may take: the handshake that wants it has ten seconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// A certificate as it is shown.
#[derive(Clone)]
pub(crate) struct Exhibit {
    /// The version of its record.
    pub version: u64,
    /// It with its key; none if this mesh can't use it.
    pub key: Option<Arc<CertifiedKey>>,
    pub validity: Validity,
}

/// Somebody wants to see the answer to a challenge.
pub(crate) struct Question {
    pub domain: Domain,
    pub answer: oneshot::Sender<Arc<CertifiedKey>>,
}

/// What is shown to callers of the HTTP api.
pub struct Showcase {
    settings: AcmeSettings,
    exhibits: RwLock<BTreeMap<Domain, Exhibit>>,
    questions: mpsc::Sender<Question>,
    failures: AtomicU64,
}

impl fmt::Debug for Showcase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Showcase({:?})", self.settings.domains)
    }
}

impl Showcase {
    /// An empty one, and what is asked of it.
    pub(crate) fn new(settings: AcmeSettings) -> (Arc<Self>, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        let (exhibits, failures) = (RwLock::default(), AtomicU64::new(0));
        (Arc::new(Showcase { settings, exhibits, questions, failures }), asked)
    }

    /// What the node was told.
    pub(crate) fn settings(&self) -> &AcmeSettings {
        &self.settings
    }

    fn domain(&self, name: &str) -> Option<&Domain> {
        self.settings.domains.iter().find(|domain| domain.as_str().eq_ignore_ascii_case(name))
    }

    /// The certificate for who names the host so, or names none; none if there is none yet. Another name gets the
    /// first: whoever does not want it hangs up.
    pub fn certificate(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let domain = name.and_then(|name| self.domain(name)).or(self.settings.domains.first())?;
        self.exhibit(domain)?.key
    }

    /// What a certificate authority wants to see at `name`, if it has asked to.
    pub async fn answer(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let domain = self.domain(name)?.clone();
        let (answer, answered) = oneshot::channel();
        self.questions.try_send(Question { domain, answer }).ok()?;
        timeout(PATIENCE, answered).await.ok()?.ok()
    }

    /// When the first of the certificates ends; none while one is missing.
    pub fn ends(&self) -> Option<SystemTime> {
        let ends = self.settings.domains.iter().map(|domain| {
            let exhibit = self.exhibit(domain)?;
            exhibit.key.map(|_| exhibit.validity.ends_ms)
        });
        let first = ends.collect::<Option<Vec<u64>>>()?.into_iter().min()?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_millis(first))
    }

    /// How many orders have failed on this node since it started.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(crate) fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn exhibit(&self, domain: &Domain) -> Option<Exhibit> {
        let exhibits = self.exhibits.read().expect("no code panics while it holds the certificates");
        exhibits.get(domain).cloned()
    }

    /// Shows this from now on, to handshakes that begin. Connections go on as they are.
    pub(crate) fn set(&self, domain: &Domain, exhibit: Option<Exhibit>) {
        let mut exhibits = self.exhibits.write().expect("no code panics while it holds the certificates");
        match exhibit {
            Some(exhibit) => exhibits.insert(domain.clone(), exhibit),
            None => exhibits.remove(domain),
        };
    }
}
