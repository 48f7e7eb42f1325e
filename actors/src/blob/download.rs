//! A blob on its way out to a caller: from the copy here, or from a node that has one, and from the next where that one
//! breaks off.

use super::{
    BlobService, BlobView, GetBlobRequest, limits::PIECE_BYTES, platform::Shared, shelf::Reader,
    transfer::Incoming,
};
use bytes::Bytes;
use micro_sdk::wire::{Code, Fault, NodeId};
use std::{collections::VecDeque, sync::Arc};
use tokio::time::Instant;

/// How often a blob that was replaced or moved between the look at its manifest and the first byte is looked up again.
const LOOKS_MAX: u32 = 3;

/// A blob that is being read. Nothing is gathered: the next piece is fetched when it is asked for.
pub struct Download {
    shared: Arc<Shared>,
    view: BlobView,
    at: u64,
    end: u64,
    source: Source,
    /// Who is asked next.
    others: VecDeque<NodeId>,
    /// Whether those were asked that no record names.
    all_asked: bool,
    /// What was read and not yet handed out.
    waiting: Bytes,
    /// Why the last one could not go on.
    why: Option<Fault>,
    /// Those that the record names, and that said that they have none.
    lost: Vec<NodeId>,
}

enum Source {
    None,
    Here(Reader),
    There(Incoming),
}

impl BlobService {
    /// Starts to read a blob. Its first bytes are at hand when this returns.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is none, [`Code::Usage`] if it ends before the offset, [`Code::Unavailable`] if no
    /// copy can be reached.
    pub async fn get(&self, request: GetBlobRequest, deadline: Instant) -> Result<Download, Fault> {
        let GetBlobRequest { namespace, name, offset, length, stale } = request;
        let mut seen: Option<(u32, BlobView)> = None;
        loop {
            let view = self.head(&namespace, &name, stale, deadline).await?;
            if offset > view.bytes {
                let message =
                    format!("blob {:?} has {} bytes, and so none at {offset}", view.name, view.bytes);
                return Err(Fault::new(Code::Usage, message));
            }
            let end = length.map_or(view.bytes, |length| offset.saturating_add(length).min(view.bytes));
            let mut download = Download::new(self.parts.clone(), view, offset, end);
            let looks = seen.as_ref().map_or(0, |(looks, _)| *looks);
            match download.prepare().await {
                Ok(()) => return Ok(download),
                // It may have been replaced, or its copies have moved, since its manifest was read.
                Err(fault) if looks < LOOKS_MAX => {
                    if seen.as_ref().is_some_and(|(_, view)| is_same(view, &download.view)) {
                        return Err(fault);
                    }
                    seen = Some((looks + 1, download.view));
                }
                Err(fault) => return Err(fault),
            }
        }
    }
}

impl Download {
    /// All of the blob that `view` shows. Nothing is read yet.
    pub(super) fn whole(service: &BlobService, view: BlobView) -> Self {
        let end = view.bytes;
        Download::new(service.parts.clone(), view, 0, end)
    }

    fn new(shared: Arc<Shared>, view: BlobView, at: u64, end: u64) -> Self {
        // The disk here first, whether the records know of that copy or not.
        let here = shared.here();
        let others = std::iter::once(here).chain(shared.nearest(&view.holders)).collect();
        let (source, waiting) = (Source::None, Bytes::new());
        Download {
            shared,
            view,
            at,
            end,
            source,
            others,
            all_asked: false,
            waiting,
            why: None,
            lost: Vec::new(),
        }
    }

    /// What is being read.
    pub fn view(&self) -> &BlobView {
        &self.view
    }

    /// How many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.end - self.at + self.waiting.len() as u64
    }

    /// The next bytes; none behind the last.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if no copy can be reached any more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        self.prepare().await?;
        let piece = self.waiting.split_to(self.waiting.len().min(PIECE_BYTES));
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// Sees to it that bytes wait, if there are any left.
    pub(super) async fn prepare(&mut self) -> Result<(), Fault> {
        while self.waiting.is_empty() && self.at < self.end {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            let (hash, at, end) = (self.view.hash, self.at, self.end);
            let bytes = match &mut self.source {
                Source::None => {
                    self.open_next().await?;
                    continue;
                }
                Source::Here(reader) => self.shared.shelf.read(hash, reader, at, end).await,
                Source::There(incoming) => incoming.next().await,
            };
            match bytes {
                Ok(Some(bytes)) if !bytes.is_empty() && bytes.len() <= left => {
                    self.at += bytes.len() as u64;
                    self.waiting = bytes;
                }
                broken => {
                    // Damaged, cut short, or the link is gone: another copy goes on from here.
                    if let Err(fault) = broken {
                        tracing::debug!(%hash, at, %fault, "a copy of a blob could not be read on");
                        self.why = Some(fault);
                    }
                    self.source = Source::None;
                }
            }
        }
        Ok(())
    }

    /// Who is asked next: those that the record names, and once they are used up, who else has it.
    async fn next_node(&mut self) -> Option<NodeId> {
        if self.others.is_empty() && !self.all_asked {
            self.all_asked = true;
            let BlobView { hash, bytes, holders, .. } = &self.view;
            self.others = self.shared.offers(*hash, *bytes, holders).await.into();
        }
        self.others.pop_front()
    }

    async fn open_next(&mut self) -> Result<(), Fault> {
        let hash = self.view.hash;
        while let Some(node) = self.next_node().await {
            if node == self.shared.here() {
                let reader = self.shared.shelf.open(hash).await?;
                if let Some(reader) = reader.filter(|reader| reader.bytes() == self.view.bytes) {
                    self.source = Source::Here(reader);
                    return Ok(());
                }
                self.lost.push(node);
                continue;
            }
            match self.shared.ask(node, hash, self.at, self.end).await {
                Ok(incoming) => {
                    self.source = Source::There(incoming);
                    return Ok(());
                }
                Err(fault) => {
                    if fault.code == Code::NotFound {
                        self.lost.push(node);
                    }
                    self.why = Some(fault);
                }
            }
        }
        let why = self.why.take().map(|fault| format!(": {}", fault.message)).unwrap_or_default();
        let message = format!("no copy of blob {:?} can be read just now{why}", self.view.name);
        let fault = Fault::new(Code::Unavailable, message);
        Err(self.holders().help().into_iter().fold(fault, Fault::help))
    }

    /// What became of those that the record names.
    fn holders(&self) -> Holders {
        let mut holders = Holders::default();
        for node in &self.view.holders {
            let list = match self.shared.is_up(*node) {
                false => &mut holders.down,
                true if self.lost.contains(node) => &mut holders.lost,
                true => &mut holders.failed,
            };
            list.push(self.shared.registry.node_name(*node));
        }
        holders
    }
}

/// Whether nothing has changed of where a blob's bytes are to be found.
fn is_same(one: &BlobView, other: &BlobView) -> bool {
    one.version == other.version && one.holders == other.holders
}

/// The names of the nodes that should have a copy, by what became of it.
#[derive(Default)]
struct Holders {
    /// They are not linked.
    down: Vec<String>,
    /// They are up and have none.
    lost: Vec<String>,
    /// They are up, and did not hand it out to its end.
    failed: Vec<String>,
}

impl Holders {
    /// What to do.
    fn help(&self) -> Vec<String> {
        let Holders { down, lost, failed } = self;
        let again = "put it again, or copy its file into `blobs` of a data directory";
        let mut help = Vec::new();
        if !down.is_empty() {
            help.push(format!("start the nodes that have one: {}", down.join(", ")));
        }
        match &**lost {
            [] => {}
            [one] => help.push(format!("{one} is up and has lost its copy: {again}")),
            several => {
                help.push(format!("{} are up and have lost their copies: {again}", several.join(", ")))
            }
        }
        if !failed.is_empty() {
            let names = failed.join(", ");
            help.push(format!("try again; if it lasts, see the logs of those that are up: {names}"));
        }
        if help.is_empty() {
            help.push(format!("no node of this mesh is known to have one: {again}"));
        }
        help
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_up_without_a_copy_is_not_to_be_started() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let help = |down: &[&str], lost: &[&str], failed: &[&str]| {
            Holders { down: names(down), lost: names(lost), failed: names(failed) }.help()
        };
        assert!(help(&[], &[], &[])[0].starts_with("no node of this mesh is known"));
        assert_eq!(help(&["a", "b"], &[], &[]), ["start the nodes that have one: a, b"]);
        let lost = help(&["a"], &["e"], &[]);
        assert!(lost.len() == 2 && lost[1].starts_with("e is up and has lost its copy: put it again"));
        assert!(help(&[], &["e", "f"], &[])[0].starts_with("e, f are up and have lost their copies"));
        assert!(help(&[], &[], &["g"])[0].ends_with("those that are up: g"));
    }
}
