//! What changes come to, over a store in memory without a group around it.

mod changes;
mod secrets;
mod staging;

use crate::{
    auth::SealKey,
    config::{
        ChangeReply, ChangeRequest, ConfigPath, GetRequest, Plaintext, Reading, RotateRequest,
        SetSchemaRequest, What,
        plan::{Planned, Planner},
        reading::Sight,
        rotation::{begun, completed, resealed},
        state::{ConfigState, Opener},
        writing::{key_transaction, schema_transaction},
    },
    store::{Glimpse, TransactRequest, bench::Bench},
};
use futures::FutureExt;
use micro_sdk::wire::{ClusterId, Fault, Namespace};
use std::collections::BTreeSet;

/// A node's configuration that does one thing after another.
pub(super) struct Desk {
    pub bench: Bench,
    pub opener: Opener,
    pub namespace: Namespace,
    /// How many instances run of whatever service a change is staged for.
    pub instances: usize,
}

impl Desk {
    pub fn new() -> Self {
        let seams = crate::auth::tests::seams();
        let opener = Opener { seal: SealKey::generate(&seams), seams, cluster: ClusterId(7) };
        Desk { bench: Bench::new(), opener, namespace: Namespace::default(), instances: 1 }
    }

    /// What one look at the state shows.
    pub fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Glimpse<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.bench.replica().glimpse(look).now_or_never().expect("blocking work is done at once here")
    }

    /// What is known of this namespace.
    pub fn state<T: Send + 'static>(
        &self,
        look: impl FnOnce(&ConfigState<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> T {
        let namespace = self.namespace.clone();
        let seen = self.look(move |glimpse| look(&ConfigState::new(glimpse, &namespace)));
        seen.expect("a healthy disk is read")
    }

    pub fn plan(&self, request: &ChangeRequest) -> Result<Planned, Fault> {
        let (request, opener) = (request.clone(), self.opener.clone());
        let (now_ms, instances) = (self.bench.time_ms, self.instances);
        self.look(move |glimpse| {
            let state = ConfigState::new(glimpse, &request.namespace);
            Planner { state, request: &request, opener: &opener, now_ms, instances }.plan()
        })
    }

    /// Makes a transaction; tells whether its comparisons held.
    pub fn transact(&mut self, transaction: &TransactRequest) -> bool {
        self.bench.transact(transaction)
    }

    pub fn change(&mut self, request: &ChangeRequest) -> Result<ChangeReply, Fault> {
        loop {
            match self.plan(request)? {
                Planned::Done(reply) => return Ok(reply),
                Planned::Make(transaction, reply) => {
                    assert!(self.transact(&transaction), "nobody else changes anything");
                    return Ok(reply);
                }
                Planned::NeedsKey => self.make_key(),
            }
        }
    }

    fn make_key(&mut self) {
        let opener = self.opener.clone();
        let transaction = self.state(move |state| key_transaction(state, &opener));
        assert!(self.transact(&transaction), "nobody else makes one");
    }

    pub fn request(&self, what: What) -> ChangeRequest {
        ChangeRequest {
            namespace: self.namespace.clone(),
            what,
            if_version: None,
            who: "jane".to_owned(),
            reason: "why".to_owned(),
            dry_run: false,
            idempotency_key: None,
        }
    }

    pub fn set(&mut self, path: &str, value: &str) -> Result<ChangeReply, Fault> {
        let request = self.request(setting(path, value));
        self.change(&request)
    }

    pub fn set_secret(&mut self, path: &str, value: &str) -> Result<ChangeReply, Fault> {
        let mut what = setting(path, value);
        let What::Set { secret, .. } = &mut what else { panic!("it is a set") };
        *secret = true;
        let request = self.request(what);
        self.change(&request)
    }

    pub fn stage(&mut self, path: &str, value: &str, percent: u32) -> Result<ChangeReply, Fault> {
        let mut what = setting(path, value);
        let What::Set { canary_percent, .. } = &mut what else { panic!("it is a set") };
        *canary_percent = percent;
        let request = self.request(what);
        self.change(&request)
    }

    pub fn end(&mut self, canary: u64, promote: bool) -> Result<ChangeReply, Fault> {
        let request = self.request(What::EndCanary { canary, promote });
        self.change(&request)
    }

    pub fn delete(&mut self, at: &str) -> Result<ChangeReply, Fault> {
        let request = self.request(What::Delete { path: path(at) });
        self.change(&request)
    }

    pub fn roll_back(&mut self, at: &str, to: u64) -> Result<ChangeReply, Fault> {
        let request = self.request(What::RollBack { path: path(at), to });
        self.change(&request)
    }

    pub fn set_schema(&mut self, service: &str, schema: Option<&str>) -> Result<(), Fault> {
        let request = SetSchemaRequest {
            namespace: self.namespace.clone(),
            service: service.parse().expect("a good name"),
            schema: schema.map(str::to_owned),
        };
        let opener = self.opener.clone();
        let transaction = self.look(move |glimpse| {
            schema_transaction(&ConfigState::new(glimpse, &request.namespace), &request, &opener)
        })?;
        transaction.map_or(Ok(()), |transaction| {
            assert!(self.transact(&transaction), "nobody else changes anything");
            Ok(())
        })
    }

    /// Rotates the key of secrets, unless it is begun already; does `between` after each step.
    pub fn rotate(&mut self, namespaces: &[Namespace], mut between: impl FnMut(&mut Desk)) -> u32 {
        let request = RotateRequest { who: "jane".to_owned() };
        let (current, version) = self.state(|state| state.current_key()).expect("there is a secret");
        let number = if current.complete { current.number + 1 } else { current.number };
        if current.complete {
            assert!(self.transact(&begun(number, version, &self.opener)));
            between(self);
        }
        for namespace in namespaces {
            loop {
                let (of, who, opener) = (namespace.clone(), request.who.clone(), self.opener.clone());
                let step =
                    self.look(move |glimpse| resealed(&ConfigState::new(glimpse, &of), &who, &opener, 0));
                let Some((transaction, _)) = step.expect("the keys are good") else { break };
                assert!(self.transact(&transaction));
                between(self);
            }
        }
        let of = namespaces.to_vec();
        let last = self.look(move |glimpse| completed(glimpse, number, &of)).expect("a healthy disk is read");
        assert!(self.transact(&last.expect("nobody else rotates")));
        number
    }

    pub fn read(&self, request: GetRequest, canaries: &[u64]) -> Result<Reading, Fault> {
        let (asked, opener) = (request.clone(), self.opener.clone());
        let sight = self.look(move |glimpse| Sight::look(glimpse, &asked, Some(&opener)))?;
        let held: BTreeSet<u64> = canaries.iter().copied().collect();
        sight.reading(&request, |canary| held.contains(&canary.number))
    }

    /// What is at a path, secrets masked.
    pub fn get(&self, path: &str) -> Option<String> {
        self.at(path, None).expect("it can be read")
    }

    /// What was at a path at a version.
    pub fn at(&self, at: &str, version: Option<u64>) -> Result<Option<String>, Fault> {
        let request = self.get_request(at);
        Ok(self.read(GetRequest { at: version, ..request }, &[])?.value.map(Plaintext::into_exposed))
    }

    /// What is at a path, secrets as they are.
    pub fn get_secret(&self, path: &str) -> Result<Option<String>, Fault> {
        let request = GetRequest { show_secrets: true, ..self.get_request(path) };
        Ok(self.read(request, &[])?.value.map(Plaintext::into_exposed))
    }

    pub fn get_request(&self, at: &str) -> GetRequest {
        GetRequest { namespace: self.namespace.clone(), path: path(at), ..GetRequest::default() }
    }
}

pub(super) fn path(text: &str) -> ConfigPath {
    ConfigPath::parse(text).expect("it is a path")
}

pub(super) fn setting(at: &str, value: &str) -> What {
    What::Set {
        path: path(at),
        value: Plaintext::new(value),
        secret: false,
        replace: false,
        canary_percent: 0,
    }
}
