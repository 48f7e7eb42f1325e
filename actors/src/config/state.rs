//! All that the service keeps of one namespace, at one moment.

use crate::{
    auth::SealKey,
    config::{
        leaf::Leaf,
        record::{
            Answered, CURRENT, Canary, Change, CurrentKey, HEAD, Head, Tables, decode, number_key,
            request_key,
        },
        tree::Tree,
        vault::Vault,
    },
    store::{Glimpse, ListOrder, RecordRange},
};
use micro_sdk::wire::{ClusterId, Code, Fault, Namespace, Seams};
use std::collections::BTreeMap;

/// What opens the keys of secrets on this node.
#[derive(Clone)]
pub(crate) struct Opener {
    pub seams: Seams,
    pub seal: SealKey,
    pub cluster: ClusterId,
}

/// The records of one namespace.
pub(crate) struct ConfigState<'a> {
    glimpse: &'a Glimpse<'a>,
    pub namespace: Namespace,
    pub tables: Tables,
}

impl<'a> ConfigState<'a> {
    pub fn new(glimpse: &'a Glimpse<'a>, namespace: &Namespace) -> Self {
        ConfigState { glimpse, namespace: namespace.clone(), tables: Tables::of(namespace) }
    }

    /// The head, and the version of its record; both 0 before the first change.
    pub fn head(&self) -> Result<(Head, u64), Fault> {
        let record = self.glimpse.record(&self.tables.head, HEAD)?;
        let Some(record) = record else { return Ok((Head::default(), 0)) };
        Ok((decode(&record)?, record.version))
    }

    /// All leaves, as they are.
    pub fn tree(&self) -> Result<Tree, Fault> {
        let mut tree = Tree::default();
        self.glimpse.records(
            &RecordRange::table(self.tables.tree.clone()),
            ListOrder::Ascending,
            |record| {
                tree.insert(record.key.clone(), decode::<Leaf>(&record)?);
                Ok(true)
            },
        )?;
        Ok(tree)
    }

    /// All leaves as of a version, and that version: the present, with the changes since taken back.
    ///
    /// # Errors
    /// [`Code::Usage`] if it is not there yet, [`Code::Conflict`] if it is not known any more.
    pub fn tree_at(&self, at: Option<u64>) -> Result<(Tree, u64), Fault> {
        let (head, _) = self.head()?;
        let mut tree = self.tree()?;
        let Some(at) = at else { return Ok((tree, head.version)) };
        if at > head.version {
            let message = format!("version {at} of the tree is not there yet: it is at {}", head.version);
            return Err(Fault::new(Code::Usage, message).help("see `micro-node config history`"));
        }
        if at < head.known_from {
            let message = format!(
                "version {at} of the tree is not known any more: the history begins at version {}",
                head.known_from
            );
            return Err(Fault::new(Code::Conflict, message).help("see `micro-node config history`"));
        }
        self.changes(at, u64::MAX, |change, _| {
            if change.kind.edits_tree() {
                tree.undo(&change.edits);
            }
            Ok(true)
        })?;
        Ok((tree, at))
    }

    /// The changes behind version `after` and before `before`, latest first, with the bytes of each, for as long as
    /// `each` returns true.
    pub fn changes(
        &self,
        after: u64,
        before: u64,
        mut each: impl FnMut(Change, u64) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let (from, to) = (number_key(after.saturating_add(1)), number_key(before));
        let range = RecordRange { from, to, ..RecordRange::table(self.tables.changes.clone()) };
        self.glimpse.records(&range, ListOrder::Descending, |record| {
            each(decode(&record)?, record.value.0.len() as u64)
        })
    }

    /// One change, with its bytes.
    pub fn change(&self, version: u64) -> Result<Option<(Change, u64)>, Fault> {
        let record = self.glimpse.record(&self.tables.changes, &number_key(version))?;
        record.map(|record| Ok((decode(&record)?, record.value.0.len() as u64))).transpose()
    }

    /// What was answered under an idempotency key.
    pub fn answered(&self, key: u128) -> Result<Option<Answered>, Fault> {
        let record = self.glimpse.record(&self.tables.requests, &request_key(key))?;
        record.as_ref().map(decode).transpose()
    }

    /// The staged changes, by age.
    pub fn canaries(&self) -> Result<Vec<Canary>, Fault> {
        let mut canaries = Vec::new();
        let range = RecordRange::table(self.tables.canaries.clone());
        self.glimpse.records(&range, ListOrder::Ascending, |record| {
            canaries.push(decode(&record)?);
            Ok(true)
        })?;
        Ok(canaries)
    }

    /// The schema of a service's part.
    pub fn schema(&self, service: &str) -> Result<Option<String>, Fault> {
        // A name that is no service's has no schema, and may be longer than keys are.
        if service.parse::<micro_sdk::wire::ServiceName>().is_err() {
            return Ok(None);
        }
        let record = self.glimpse.record(&self.tables.schemas, service)?;
        record.as_ref().map(decode).transpose()
    }

    /// Which key seals, and the version of that record; none before the first secret.
    pub fn current_key(&self) -> Result<Option<(CurrentKey, u64)>, Fault> {
        let record = self.glimpse.record(&self.tables.keys, CURRENT)?;
        record.map(|record| Ok((decode(&record)?, record.version))).transpose()
    }

    /// The sealed keys by number.
    pub fn keys(&self) -> Result<BTreeMap<u32, Vec<u8>>, Fault> {
        let mut keys = BTreeMap::new();
        let range = RecordRange::table(self.tables.keys.clone());
        self.glimpse.records(&range, ListOrder::Ascending, |record| {
            if let Ok(number) = record.key.parse() {
                keys.insert(number, decode(&record)?);
            }
            Ok(true)
        })?;
        Ok(keys)
    }

    /// The keys of secrets that this mesh can open, and the version of the record that says which of them seals; none
    /// before the first secret.
    pub fn vault(&self, opener: &Opener) -> Result<Option<(Vault, u64)>, Fault> {
        let Some((current, version)) = self.current_key()? else { return Ok(None) };
        let (keys, namespace) = (self.keys()?, self.namespace.clone());
        let Opener { seams, seal, cluster } = opener;
        let vault = Vault::open(seams, seal, *cluster, namespace, &keys, current.number);
        Ok(Some((vault, version)))
    }

    /// The namespaces that have a tree.
    pub fn namespaces(&self) -> Result<Vec<Namespace>, Fault> {
        let mut namespaces = Vec::new();
        let range = RecordRange::table(self.tables.namespaces.clone());
        self.glimpse.records(&range, ListOrder::Ascending, |record| {
            namespaces.extend(record.key.parse::<Namespace>().ok());
            Ok(true)
        })?;
        Ok(namespaces)
    }
}
