//! What the authority answers.

use http::StatusCode;
use serde_json::Value;

/// An answer, or why there is none: the kind of problem, and words.
pub type Answer = Result<Reply, (&'static str, String)>;

/// An answer that is no refusal.
pub struct Reply {
    pub status: StatusCode,
    pub location: Option<String>,
    pub body: Vec<u8>,
}

impl Reply {
    /// A document.
    pub fn json(value: &Value) -> Self {
        Reply { status: StatusCode::OK, location: None, body: value.to_string().into_bytes() }
    }

    /// The same of what was made, and is to be found there.
    pub fn made(self, at: String) -> Self {
        Reply { status: StatusCode::CREATED, location: Some(at), ..self }
    }
}
