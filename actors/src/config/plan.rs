//! What a change comes to, given what is there: decided in one look at the state, and then tried as one transaction. If
//! somebody else changed the tree in between, it is decided anew.

use crate::{
    config::{
        ChangeReply, ChangeRequest, ConfigPath, What,
        commit::Commit,
        leaf::{Content, Leaf},
        record::{Canary, Change, Head, Kind, number_key, write},
        schema::Schema,
        setting::Setting,
        state::{ConfigState, Opener},
        tree::{Edit, Tree},
        vault::Vault,
    },
    store::{RecordOp, TransactRequest},
};
use micro_sdk::wire::{Code, Fault};
use std::collections::BTreeSet;

/// How many leaves one change touches: all of them are one transaction, beside what every change writes.
pub(crate) const EDITS_MAX: usize = 900;
/// How many leaves a tree has, and how many bytes: who watches is told all that is at a path, each time that it
/// changes.
pub(crate) const LEAVES_MAX: usize = 10_000;
const TREE_BYTES_MAX: usize = 4 << 20;
/// The longest reason.
const REASON_BYTES_MAX: usize = 1 << 10;
/// How many changes are staged at once: more than people can keep in mind.
const CANARIES_MAX: usize = 100;

/// What is to be done about a request.
pub(crate) enum Planned {
    /// It is answered as it is.
    Done(ChangeReply),
    /// This transaction is to be made; if it holds, this is the answer.
    Make(TransactRequest, ChangeReply),
    /// There is no key yet to seal a secret with.
    NeedsKey,
}

/// A request and the state that it meets.
pub(crate) struct Planner<'a> {
    pub state: ConfigState<'a>,
    pub request: &'a ChangeRequest,
    pub opener: &'a Opener,
    /// The group's time.
    pub now_ms: u64,
    /// How many instances run of the service that the path of the request begins with.
    pub instances: usize,
}

/// What the tree would become.
struct Draft {
    kind: Kind,
    /// The tree as it would be; for what is staged, as some would see it.
    next: Tree,
    /// The staged change that is made or ended.
    canary: Option<Canary>,
}

/// Why a draft could not be made at once.
pub(crate) enum Obstacle {
    NeedsKey,
    Fault(Fault),
}

impl From<Fault> for Obstacle {
    fn from(fault: Fault) -> Self {
        Obstacle::Fault(fault)
    }
}

impl Planner<'_> {
    /// Decides.
    ///
    /// # Errors
    /// [`Code::Usage`] beyond a limit or if the schema does not allow it, [`Code::Conflict`] if the version is another,
    /// [`Code::NotFound`] if there is no such staged change.
    pub fn plan(&self) -> Result<Planned, Fault> {
        if let Some(reply) = self.answered()? {
            return Ok(Planned::Done(reply));
        }
        if self.request.reason.len() > REASON_BYTES_MAX {
            let message = format!("the reason is longer than the limit of {REASON_BYTES_MAX} bytes");
            return Err(Fault::new(Code::Usage, message));
        }
        let (head, head_version) = self.state.head()?;
        if let Some(wanted) = self.request.if_version.filter(|wanted| *wanted != head.version) {
            let message = format!("the tree is at version {}, not {wanted}", head.version);
            return Err(Fault::new(Code::Conflict, message).help("read it again and decide anew"));
        }
        let vault = self.state.vault(self.opener)?;
        let (vault, key_version) =
            vault.map_or((None, None), |(vault, version)| (Some(vault), Some(version)));
        let tree = self.state.tree()?;
        let draft = match self.draft(&tree, vault.as_ref(), head.version + 1) {
            Ok(draft) => draft,
            Err(Obstacle::NeedsKey) => return Ok(Planned::NeedsKey),
            Err(Obstacle::Fault(fault)) => return Err(fault),
        };
        let edits = match (&draft.canary, draft.kind) {
            (Some(canary), Kind::Abort) => canary.edits.clone(),
            _ => tree.difference(&draft.next),
        };
        let ends_canary = matches!(draft.kind, Kind::Promote | Kind::Abort);
        if edits.is_empty() && !ends_canary {
            return Ok(Planned::Done(ChangeReply { version: head.version, ..ChangeReply::default() }));
        }
        self.check(&draft, &edits, vault.as_ref())?;
        self.finish(draft, edits, &head, head_version, key_version)
    }

    /// The answer of before, if the change was made before.
    fn answered(&self) -> Result<Option<ChangeReply>, Fault> {
        let Some(key) = self.request.idempotency_key else { return Ok(None) };
        let Some(answered) = self.state.answered(key)? else { return Ok(None) };
        if answered.asked != self.asked() {
            let message = "this idempotency key was used for another change before: nothing was done";
            return Err(Fault::new(Code::Conflict, message)
                .help("take a new key for each change; the same one only to repeat a change as it was"));
        }
        let change = self.state.change(answered.version)?;
        change.map(|(change, _)| self.reply(&change)).transpose()
    }

    /// What is asked, to tell it from what else is asked with the same key. Of a value there is a checksum; not of a
    /// secret, which could be guessed by it.
    fn asked(&self) -> String {
        match &self.request.what {
            What::Set { path, value, secret, replace, canary_percent } => {
                let sum = if *secret { 0 } else { crc32c::crc32c(value.expose().as_bytes()) };
                format!("set {secret} {replace} {canary_percent} {sum:08x} {path}")
            }
            What::Delete { path } => format!("delete {path}"),
            What::RollBack { path, to } => format!("rollback {to} {path}"),
            What::EndCanary { canary, promote } => format!("end {canary} {promote}"),
        }
    }

    fn draft(&self, tree: &Tree, vault: Option<&Vault>, version: u64) -> Result<Draft, Obstacle> {
        Ok(match &self.request.what {
            What::Set { path, value, secret, replace, canary_percent: 0 } => {
                let next =
                    Setting { tree, vault, version, secret: *secret, replace: *replace }.of(path, value)?;
                Draft { kind: Kind::Set, next, canary: None }
            }
            What::Set { path, value, secret, replace, canary_percent } => {
                let next =
                    Setting { tree, vault, version, secret: *secret, replace: *replace }.of(path, value)?;
                let canary = self.staged(path, *canary_percent, tree.difference(&next), version)?;
                Draft { kind: Kind::Stage, next, canary: Some(canary) }
            }
            What::Delete { path } => {
                let mut next = tree.clone();
                next.remove(path);
                Draft { kind: Kind::Delete, next, canary: None }
            }
            What::RollBack { path, to } => {
                let (past, _) = self.state.tree_at(Some(*to))?;
                let next = rolled_back(tree, &past.part(path), vault, version, path)?;
                Draft { kind: Kind::RollBack, next, canary: None }
            }
            What::EndCanary { canary: number, promote } => {
                let canary = self.canary(*number)?;
                let mut next = tree.clone();
                if *promote {
                    refuse_overtaken(&canary, tree)?;
                    next.lay_over(&promoted(&canary.edits, vault, version)?);
                }
                let kind = if *promote { Kind::Promote } else { Kind::Abort };
                Draft { kind, next, canary: Some(canary) }
            }
        })
    }

    fn canary(&self, number: u64) -> Result<Canary, Fault> {
        let canaries = self.state.canaries()?;
        let known: Vec<String> = canaries.iter().map(|canary| canary.number.to_string()).collect();
        canaries.into_iter().find(|canary| canary.number == number).ok_or_else(|| {
            let staged = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Fault::new(Code::NotFound, format!("there is no staged change {number}"))
                .help(format!("staged are: {staged}; `micro-node config canaries` shows them"))
        })
    }

    /// A change that is staged.
    fn staged(
        &self,
        path: &ConfigPath,
        percent: u32,
        edits: Vec<Edit>,
        number: u64,
    ) -> Result<Canary, Fault> {
        if percent > 100 {
            return Err(Fault::new(Code::Usage, format!("{percent} % are more than all instances")));
        }
        let Some(service) = path.service() else {
            let message = "a change of the whole tree can't be staged: the path says whose instances have it";
            return Err(Fault::new(Code::Usage, message).help("name a path that begins with a service"));
        };
        if self.instances == 0 {
            let message = format!("no instance of a service {service} is running: nobody would have it");
            return Err(Fault::new(Code::NotFound, message)
                .help("`micro-node services` shows what runs; without --canary it is for whoever comes"));
        }
        let others = self.state.canaries()?;
        if others.len() >= CANARIES_MAX {
            let message = format!("{CANARIES_MAX} changes are staged already");
            return Err(Fault::new(Code::Conflict, message).help("promote or abort some"));
        }
        for other in &others {
            if let Some(met) = other.touched_by(&edits)? {
                let message = format!("the staged change {} touches {met} already", other.number);
                return Err(Fault::new(Code::Conflict, message).help("promote or abort it first"));
            }
        }
        Ok(Canary {
            number,
            time_ms: self.now_ms,
            who: self.request.who.clone(),
            reason: self.request.reason.clone(),
            percent,
            service: service.to_owned(),
            edits,
        })
    }

    /// Refuses what is beyond the limits, or what schemas don't allow.
    fn check(&self, draft: &Draft, edits: &[Edit], vault: Option<&Vault>) -> Result<(), Fault> {
        if edits.len() > EDITS_MAX {
            let message = format!("{} leaves change at once: the limit is {EDITS_MAX}", edits.len());
            return Err(Fault::new(Code::Usage, message).help("make it in several steps"));
        }
        let (leaves, bytes) = (draft.next.len(), draft.next.bytes());
        let grows = edits.iter().any(|edit| edit.after.is_some());
        if grows && (leaves > LEAVES_MAX || bytes > TREE_BYTES_MAX) {
            let message = format!(
                "the tree would have {leaves} leaves of {bytes} bytes: the limits are {LEAVES_MAX} and {TREE_BYTES_MAX}"
            );
            return Err(Fault::new(Code::Usage, message).help("keep what is large or many in the store"));
        }
        if draft.kind == Kind::Abort {
            return Ok(());
        }
        let mut services = BTreeSet::new();
        for edit in edits {
            services.extend(ConfigPath::parse(&edit.path)?.service().map(str::to_owned));
        }
        for service in services {
            if let Some(schema) = self.state.schema(&service)? {
                Schema::parse(&service, &schema)?.check(&draft.next, edits, vault)?;
            }
        }
        Ok(())
    }

    /// What a change that was made answers.
    fn reply(&self, change: &Change) -> Result<ChangeReply, Fault> {
        let canary = if change.kind == Kind::Stage { change.canary } else { 0 };
        let mut staged = Vec::new();
        if matches!(change.kind, Kind::Set | Kind::Delete | Kind::RollBack) {
            for canary in self.state.canaries()? {
                if canary.touched_by(&change.edits)?.is_some() {
                    staged.push(canary.number);
                }
            }
        }
        let edits = change.edits.iter().map(Edit::view).collect();
        Ok(ChangeReply { version: change.version, edits, canary, staged })
    }

    /// The transaction of a draft that was checked.
    fn finish(
        &self,
        draft: Draft,
        edits: Vec<Edit>,
        head: &Head,
        head_version: u64,
        key_version: Option<u64>,
    ) -> Result<Planned, Fault> {
        let Draft { kind, canary, .. } = draft;
        let change = Change {
            version: head.version + 1,
            time_ms: self.now_ms.max(head.time_ms),
            who: self.request.who.clone(),
            reason: self.request.reason.clone(),
            kind,
            canary: canary.as_ref().map_or(0, |canary| canary.number),
            edits,
            idempotency_key: self.request.idempotency_key,
        };
        let mut reply = self.reply(&change)?;
        if self.request.dry_run {
            (reply.version, reply.canary) = (head.version, 0);
            return Ok(Planned::Done(reply));
        }
        let tables = &self.state.tables;
        let mut operations = Vec::new();
        if kind.edits_tree() {
            operations.extend(change.edits.iter().map(|edit| match &edit.after {
                Some(leaf) => RecordOp::Write(write(&tables.tree, &edit.path, leaf)),
                None => RecordOp::Delete { table: tables.tree.clone(), key: edit.path.clone() },
            }));
        }
        operations.extend(canary.map(|canary| match kind {
            Kind::Stage => RecordOp::Write(write(&tables.canaries, number_key(canary.number), &canary)),
            _ => RecordOp::Delete { table: tables.canaries.clone(), key: number_key(canary.number) },
        }));
        let after = |edit: &Edit| edit.after.as_ref().is_some_and(|leaf| leaf.content.is_secret());
        let seals = change.edits.iter().any(after);
        let key_version = key_version.filter(|_| seals);
        let commit = Commit { change, asked: self.asked(), operations, key_version };
        Ok(Planned::Make(commit.transaction(&self.state, head, head_version)?, reply))
    }
}

/// Refuses to promote what would take something away that somebody has set since it was staged.
fn refuse_overtaken(canary: &Canary, tree: &Tree) -> Result<(), Fault> {
    let overtaken = canary.overtaken(tree);
    let Some(first) = overtaken.first() else { return Ok(()) };
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "not there".to_owned());
    let (number, path) = (canary.number, &first.path);
    let more = match overtaken.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    let message = format!(
        "somebody has changed {path} since {number} was staged: it was {} and is {}{more}: nothing was promoted",
        shown(&first.before),
        shown(&first.after)
    );
    Err(Fault::new(Code::Conflict, message)
        .help("`micro-node config canaries` shows what is there now, and what is staged")
        .help(format!("`micro-node config abort {number}`, then stage again what is still wanted")))
}

/// The tree with what was at `path` and under it at another time. What is the same is left as it is.
fn rolled_back(
    tree: &Tree,
    past: &Tree,
    vault: Option<&Vault>,
    version: u64,
    path: &ConfigPath,
) -> Result<Tree, Obstacle> {
    let mut next = tree.clone();
    next.remove(path);
    for (key, leaf) in past.leaves() {
        let place = ConfigPath::parse(key)?;
        let there = tree.get(key).filter(|there| same(vault, key, &there.content, &leaf.content));
        let leaf = match there {
            Some(there) => there.clone(),
            None => Leaf { version, content: renewed(vault, key, &leaf.content)? },
        };
        next.put(&place, leaf);
    }
    Ok(next)
}

/// Whether two contents of one leaf are the same, also where they were sealed at different times.
fn same(vault: Option<&Vault>, key: &str, one: &Content, other: &Content) -> bool {
    if one == other {
        return true;
    }
    let Some(vault) = vault else { return false };
    let texts = vault.text(key, one).ok().zip(vault.text(key, other).ok());
    one.is_secret() == other.is_secret() && texts.is_some_and(|(one, other)| one == other)
}

/// What was staged, as a change of `version`.
fn promoted(edits: &[Edit], vault: Option<&Vault>, version: u64) -> Result<Vec<Edit>, Obstacle> {
    let promoted = |edit: &Edit| {
        let content = |leaf: &Leaf| renewed(vault, &edit.path, &leaf.content);
        let after = edit.after.as_ref().map(content).transpose()?;
        let after = after.map(|content| Leaf { version, content });
        Ok(Edit { path: edit.path.clone(), before: None, after })
    };
    edits.iter().map(promoted).collect()
}

/// A content that comes back into the tree: nothing gets there that an older key sealed.
fn renewed(vault: Option<&Vault>, key: &str, content: &Content) -> Result<Content, Obstacle> {
    match vault {
        Some(vault) => vault.renewed(key, content)?.ok_or(Obstacle::NeedsKey),
        None => Ok(content.clone()),
    }
}
