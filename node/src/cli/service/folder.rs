//! A folder, from which nothing is taken that lies outside of it.
//!
//! Each file is opened by the kernel with the folder as the root of all that its name may lead to (openat2(2),
//! `RESOLVE_BENEATH`): a link that leads out, or is put there between a look and an opening, leads nowhere.

use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags, ResolveFlags, open, openat2},
    io::Errno,
};
use std::{
    fs::{File, Metadata},
    io::{self, SeekFrom},
    path::{Component, Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncSeek, ReadBuf},
    task::spawn_blocking,
};
use tower_http::services::fs::{Backend, File as BackendFile};

/// How often the kernel is asked anew that was confused by what somebody renames (openat2(2), `EAGAIN`).
const TRIES: usize = 8;

/// A folder that is there. Clones share it, also after it has another name.
#[derive(Clone, Debug)]
pub(super) struct Folder(Arc<OwnedFd>);

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// If it is none, or the kernel can't keep to it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let folder = open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let folder = Folder(Arc::new(folder));
        // Linux 5.6 and newer can. Nothing is served by one that can't.
        match folder.beneath(Path::new("."), OFlags::PATH) {
            Err(error) if error == Errno::NOSYS => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel is older than Linux 5.6"))
            }
            other => other.map(|_| folder).map_err(io::Error::from),
        }
    }

    fn beneath(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut opened = Err(Errno::AGAIN);
        for _ in 0..TRIES {
            opened = openat2(&*self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve);
            if !matches!(opened, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        opened
    }

    /// Looks what a path is, without opening it: to open a device may do something.
    fn look(&self, path: &Path) -> io::Result<Metadata> {
        if path.components().any(is_hidden) {
            return Err(nothing());
        }
        let found = self.beneath(path, OFlags::PATH).map_err(told)?;
        let metadata = File::from(found).metadata()?;
        if metadata.is_file() || metadata.is_dir() { Ok(metadata) } else { Err(nothing()) }
    }

    /// Opens a file for reading.
    fn take(&self, path: &Path) -> io::Result<File> {
        self.look(path)?;
        // What has been put there since then may be a pipe: no writer is waited for.
        let file = File::from(self.beneath(path, OFlags::RDONLY | OFlags::NONBLOCK).map_err(told)?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(nothing()) }
    }
}

/// Whether a part of a path is not for others: what begins with a dot is, by the custom of the system.
fn is_hidden(part: Component<'_>) -> bool {
    match part {
        Component::Normal(name) => name.as_encoded_bytes().starts_with(b"."),
        Component::CurDir => false,
        Component::ParentDir | Component::RootDir | Component::Prefix(_) => true,
    }
}

fn nothing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// What leads out, to nowhere or around is not there; what the host lacks is the host's to tell.
fn told(error: Errno) -> io::Error {
    match error {
        Errno::XDEV | Errno::LOOP | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL | Errno::NXIO => {
            nothing()
        }
        error => error.into(),
    }
}

/// A file of a folder.
pub(super) struct Taken(tokio::fs::File);

impl AsyncRead for Taken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncSeek for Taken {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.0).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.0).poll_complete(cx)
    }
}

/// What looking into the folder comes to, elsewhere: a disk may take its time.
type Work<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Work<T> {
    Box::pin(async { spawn_blocking(work).await.map_err(io::Error::other)? })
}

impl BackendFile for Taken {
    type Metadata = Metadata;
    type MetadataFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Metadata>> + Send + 'a>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        Box::pin(self.0.metadata())
    }
}

impl Backend for Folder {
    type File = Taken;
    type Metadata = Metadata;
    type OpenFuture = Work<Taken>;
    type MetadataFuture = Work<Metadata>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let folder = self.clone();
        elsewhere(move || Ok(Taken(folder.take(&path)?.into())))
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        let folder = self.clone();
        elsewhere(move || folder.look(&path))
    }
}
