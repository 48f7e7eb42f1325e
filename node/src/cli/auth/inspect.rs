//! `micro-node auth inspect`.

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    secret, session,
    shape::{ItemShape, Shapes},
    table::Table,
};
use clap::Args;
use micro_sdk::{
    client::Token,
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// Show what an access token says, and whether it is good
///
/// Ends with 0 if it is, and with 4 if it is not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node auth inspect @jane.token
  micro-node user token | micro-node auth inspect -")]
pub(super) struct Inspect {
    /// The token, as @FILE or - for stdin
    #[arg(value_name = "@FILE|-", allow_hyphen_values = true)]
    inspected: String,
}

/// What an access token says.
#[derive(Serialize, JsonSchema)]
struct InspectItem<'a> {
    /// Whether it is good.
    good: bool,
    /// Why not; empty if it is.
    why: &'a str,
    /// The claims of a good one (RFC 7519).
    claims: Option<&'a Value>,
}

const INSPECTION: ItemShape<InspectItem<'static>> = ItemShape::new("auth-inspect", &["auth inspect"]);

pub(super) const SHAPES: Shapes = &[&INSPECTION];

impl Inspect {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let bytes = secret::file("auth inspect", &self.inspected)?;
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|_| Fault::new(Code::Usage, "a token is text, and this is none"))?;
        let token = Token::new(text.trim());
        let inspection = session::run(globals, async |node| Ok(node.auth().inspect(&token).await?))?;
        let good = inspection.claims.is_some();
        if output.json() {
            let item = InspectItem { good, why: &inspection.why, claims: inspection.claims.as_ref() };
            output.item(&INSPECTION, &item)?;
        } else if let Some(Value::Object(claims)) = &inspection.claims {
            let mut table = Table::new(["CLAIM", "VALUE"]);
            for (name, value) in claims {
                table.row([name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)]);
            }
            output.table(&table, "")?;
        } else {
            output.remark(&format!("the token is not good: {}", inspection.why));
        }
        if good { Ok(()) } else { Err(Failure::Answered(Code::Denied.exit_code())) }
    }
}
