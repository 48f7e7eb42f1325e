//! One node as a process: started, killed, started again on the same data.

use crate::{
    CommandLine,
    command_line::{exit_code, isolate},
    program, until,
};
use anyhow::{Context, bail, ensure};
use micro_sdk::{Node, client::Address};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// From exec to ready. One node takes half a second; a joining one also fetches a snapshot, on a machine that may be
/// busy compiling.
const START_LIMIT: Duration = Duration::from_secs(60);

/// From SIGTERM to the end of the process: longer than the node's own drain.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What a node writes to its ready file once it serves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Its name.
    pub name: String,
    /// Its id.
    pub node: String,
    /// Its process.
    pub pid: u32,
    /// Where its data lies.
    pub data_dir: PathBuf,
    /// Its unix socket.
    pub socket: PathBuf,
    /// Its HTTP api.
    pub api: SocketAddr,
    /// Its gRPC proxy.
    pub proxy: SocketAddr,
    /// Its DNS; none if it is off.
    #[serde(default)]
    pub dns: Option<SocketAddr>,
    /// Its mesh listener.
    pub mesh: SocketAddr,
    /// The file with the secret that its proxy wants.
    pub admin_secret_file: PathBuf,
}

/// One node.
pub struct Member {
    name: String,
    folder: PathBuf,
    data: PathBuf,
    extra: Vec<String>,
    wrapper: Vec<String>,
    host: Vec<String>,
    detached: bool,
    process: Option<Child>,
    ready: Option<Ready>,
}

impl Member {
    /// A node called `name` with a folder of its own below `root`, not yet started. `extra` goes to `start` as it is.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(root: &Path, name: &str, extra: Vec<String>) -> anyhow::Result<Self> {
        let folder = root.join(name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Member {
            name: name.into(),
            data: folder.join("data"),
            folder,
            extra,
            wrapper: Vec::new(),
            host: Vec::new(),
            detached: false,
            process: None,
            ready: None,
        })
    }

    /// Keeps its data in `folder`.
    #[must_use]
    pub fn with_data(mut self, folder: PathBuf) -> Self {
        self.data = folder;
        self
    }

    /// Has it run on this host, as [`Hosts`](crate::Hosts) are, with the services that are attached to it.
    #[must_use]
    pub fn on_host(mut self, host: &str) -> Self {
        self.host = vec!["nsenter".to_owned(), format!("--net=/run/netns/{host}")];
        self
    }

    /// A command that runs `program` on its host.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut words = self.host.iter().map(AsRef::as_ref).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().expect("there is the program at least"));
        command.args(words);
        command
    }

    /// Starts it from now on by another program, such as `strace -f`. None starts it directly.
    pub fn wrap(&mut self, wrapper: Vec<String>) {
        self.wrapper = wrapper;
    }

    /// Lets the process outlive this program and its terminal's Ctrl-C.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.detached = true;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.data.clone()
    }

    /// Where everything it says goes.
    pub fn log(&self) -> PathBuf {
        self.folder.join("node.log")
    }

    /// Where it says that it serves: there from that moment on.
    pub fn ready_file(&self) -> PathBuf {
        self.folder.join("ready.json")
    }

    /// Its addresses.
    ///
    /// # Panics
    /// If it was never ready.
    pub fn at(&self) -> &Ready {
        self.ready.as_ref().expect("the node has been ready")
    }

    /// Its unix socket as `--address` takes it.
    pub fn address(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// The command line, aimed at it.
    ///
    /// # Errors
    /// If `micro-node` is not built.
    pub fn cli(&self) -> anyhow::Result<CommandLine> {
        CommandLine::new(Some(self.address()), &self.folder)
    }

    /// A client of it, over its unix socket.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn client(&self) -> anyhow::Result<Node> {
        Ok(Node::connect_to(self.address().parse::<Address>()?).await?)
    }

    /// Has it make a token, and returns what a further node called `name` needs to join.
    ///
    /// # Errors
    /// If no token can be made.
    pub async fn invite(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let made = self.cli()?.json(&["token", "create", "--local", "--ttl", "15m", "-o", "json"]).await?;
        let token = made["item"]["token"].as_str().context("token create printed no token")?;
        let file = self.folder.join(format!("{name}.token"));
        fs::write(&file, token)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        let mesh = self.at().mesh.to_string();
        Ok(vec!["--join".into(), mesh, "--join-token".into(), format!("@{}", file.display())])
    }

    /// Whether its process runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// Starts it and waits until it serves. A second start on the same data takes the addresses of the first.
    ///
    /// # Errors
    /// If it ends, or is not ready within a minute: then with the last lines it said.
    pub async fn start(&mut self, once: &[String]) -> anyhow::Result<()> {
        self.spawn(once)?;
        self.wait_ready().await
    }

    /// Starts it without waiting. `once` are arguments for this start only.
    ///
    /// # Errors
    /// If it runs already or cannot be started.
    pub fn spawn(&mut self, once: &[String]) -> anyhow::Result<()> {
        ensure!(!self.is_running(), "{} runs already", self.name);
        // What the last life wrote would look like readiness.
        if let Err(error) = fs::remove_file(self.ready_file())
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error).context("the last ready file");
        }
        let log = File::options().create(true).append(true).open(self.log())?;
        let program = program("micro-node")?;
        let mut command = match self.wrapper.split_first() {
            Some((wrapper, arguments)) => {
                let mut command = self.command(Path::new(wrapper));
                command.args(arguments).arg(program);
                command
            }
            None => self.command(&program),
        };
        isolate(&mut command, &self.folder);
        command.args(["start", "--name", &self.name]);
        command.arg("--data-dir").arg(self.data_dir()).arg("--socket").arg(self.socket());
        command.arg("--ready-file").arg(self.ready_file());
        // Free ports on the first start; later ones take those of the first again.
        for listener in ["--api", "--proxy", "--dns", "--mesh-listen"] {
            if !self.extra.iter().chain(once).any(|argument| argument == listener) {
                command.args([listener, "127.0.0.1:0"]);
            }
        }
        command.args(&self.extra).args(once);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(!self.detached);
        if self.detached {
            command.process_group(0);
        }
        self.process = Some(command.spawn().context("micro-node start")?);
        Ok(())
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// If it ends, or is not ready within a minute: then with the last lines it said.
    pub async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let file = self.ready_file();
        let what = format!("node {} ready", self.name);
        let ready = until(&what, START_LIMIT, async || {
            // The inner result is final: waiting longer does not bring an ended process back.
            if !self.is_running() {
                return Ok(Err(format!("{} has ended", self.name)));
            }
            let text = fs::read_to_string(&file).context("no ready file yet")?;
            Ok(Ok(serde_json::from_str::<Ready>(&text)?))
        })
        .await
        .map_err(|error| error.to_string())
        .and_then(|inner| inner);
        match ready {
            Ok(ready) => self.ready = Some(ready),
            Err(error) => bail!("{error}\n{}", self.last_words()),
        }
        Ok(())
    }

    /// Ends the process at once, as a power cut does, and waits until it is gone.
    ///
    /// # Errors
    /// If there is no process.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().with_context(|| format!("{} does not run", self.name))?;
        process.kill().await.with_context(|| format!("SIGKILL for {}", self.name))
    }

    /// Asks the process to end, as a service manager does, and waits until it has. Returns its exit code.
    ///
    /// # Errors
    /// If there is no process, or it does not end within half a minute: then it is killed.
    pub async fn stop(&mut self) -> anyhow::Result<i32> {
        self.signal(Signal::TERM)?;
        self.ended().await.context("after SIGTERM")
    }

    /// Waits until it has ended by itself. Returns its exit code.
    ///
    /// # Errors
    /// If there is no process, or it does not end within half a minute: then it is killed.
    pub async fn ended(&mut self) -> anyhow::Result<i32> {
        let Some(mut process) = self.process.take() else { bail!("{} does not run", self.name) };
        match timeout(STOP_LIMIT, process.wait()).await {
            Ok(status) => Ok(exit_code(status?)),
            Err(_) => {
                process.kill().await?;
                bail!("{} did not end within {STOP_LIMIT:?}\n{}", self.name, self.last_words())
            }
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If there is no process.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        // A wrapper such as strace would take the signal for itself.
        let wrapped = self.ready.as_ref().filter(|_| !self.wrapper.is_empty()).map(|ready| ready.pid);
        let pid = wrapped.or_else(|| self.process.as_ref().and_then(Child::id));
        let pid = pid.and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.with_context(|| format!("{} does not run", self.name))?;
        kill_process(pid, signal).with_context(|| format!("{signal:?} for {}", self.name))
    }

    /// The end of its log: enough to see why it failed.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(20)..];
        format!("last lines of {}:\n  {}", self.log().display(), last.join("\n  "))
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("node.sock")
    }
}
