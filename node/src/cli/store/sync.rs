//! `micro-node store sync`.

use super::{
    Place, confirmation,
    copy::{Copy, CopyItem},
    database::Database,
    failure::Failure,
    globals::Globals,
    output::Output,
    secret, session,
    shape::{ItemShape, Shapes},
};
use clap::Args;
use futures::TryStreamExt;
use micro_sdk::{
    client::{Address, Token},
    wire::Fault,
};

/// Copy a database of another mesh into one of this mesh, or one into another: only what differs is written
///
/// The records are those of one moment. They keep values, metadata and expiry, and get new versions. Records that end
/// with a lease are left out on both sides: they belong to who holds it. Run it again and it goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store sync --from unix:/run/other.sock --database crm
  micro-node store sync --from 127.0.0.1:9081 --from-token @other-secret --database crm --dry-run
  micro-node store sync --from-database crm --database crm-copy --replace --yes

The secret of a node is sent within a host only: a node on another host is reached by a tunnel, such as \
ssh -L 9081:127.0.0.1:8081 HOST.")]
pub(super) struct Sync {
    /// A node of the mesh to copy from, as unix:PATH or as HOST:PORT of its proxy [default: the mesh copied into]
    #[arg(long, value_name = "ADDRESS")]
    from: Option<Address>,

    /// The secret to show at that HOST:PORT, as @FILE or - for stdin [env: MICRO_NODE_FROM_TOKEN, the secret itself or
    /// @FILE]
    // Read from the environment by `secret`, because clap would take a literal on the command line too.
    #[arg(long, value_name = "@FILE|-", allow_hyphen_values = true, requires = "from")]
    from_token: Option<String>,

    /// The database to copy from [default: that of --database]
    #[arg(long, value_name = "NAME", required_unless_present = "from")]
    from_database: Option<String>,

    /// Also delete the records that the database copied from does not have
    #[arg(long)]
    replace: bool,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

const SYNC: ItemShape<CopyItem> = ItemShape::new("store-sync", &["store sync"]);

pub(super) const SHAPES: Shapes = &[&SYNC];

impl Sync {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        place.refuse_table()?;
        let database = place.database();
        let from_database = self.from_database.as_deref().unwrap_or(database);
        if self.from.is_none() && from_database == database {
            return Err(Failure::usage(format!(
                "database {database:?} is not copied onto itself\n\
                 name another one with --database, or another mesh with --from"
            )));
        }
        let token = self.token()?;
        let Sync { replace, dry_run, .. } = self;
        if replace && !dry_run {
            let source = match &self.from {
                Some(address) => format!("database {from_database:?} at {address}"),
                None => format!("database {from_database:?}"),
            };
            let question = format!(
                "delete the records of database {database:?} that {source} does not have, and write the others?"
            );
            confirmation::ask(globals, &question)?;
        }
        let mut item = session::run(globals, async |node| {
            let source = match &self.from {
                Some(address) => session::connect_to(globals, address, token).await?,
                None => node.clone(),
            };
            let source = Database::new(&source, from_database);
            let revision = source.revision().await.map_err(|fault| self.told(fault))?;
            let records = source.at(revision).await.map_err(|fault| self.told(fault))?;
            let records = records.map_err(|fault| self.told(fault));
            let target = Database::new(&node, database);
            Ok(Copy { target, replace, dry_run, output }.run(records).await?)
        })?;
        database.clone_into(&mut item.database);
        if output.json() {
            return output.item(&SYNC, &item);
        }
        item.tell(output);
        Ok(())
    }

    /// The secret of the other mesh. That of this one is never shown there.
    fn token(&self) -> Result<Option<Token>, Failure> {
        let Some(Address::Tcp { .. }) = &self.from else { return Ok(None) };
        let secret = secret::read("--from-token", self.from_token.as_deref(), "MICRO_NODE_FROM_TOKEN")?;
        match secret {
            Some(secret) => Ok(Some(Token::new(secret.as_str()))),
            None => Err(Failure::usage(
                "a node at HOST:PORT wants its secret, and none was given\n\
                 pass --from-token @FILE, or set MICRO_NODE_FROM_TOKEN: it is in the file admin.secret of its data directory",
            )),
        }
    }

    /// A fault of the other mesh, so that nobody looks for it in this one.
    fn told(&self, fault: Fault) -> Fault {
        let Some(address) = &self.from else { return fault };
        let message = format!("the node to copy from, at {address}: {}", fault.message);
        Fault { message, ..fault }
    }
}
