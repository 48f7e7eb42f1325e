//! What a service's part of the tree must look like: JSON Schema, draft 2020-12. References to other documents are not
//! followed: a node fetches nothing because of what somebody configures.

use crate::config::{
    ConfigPath, Plaintext,
    document::assemble,
    effort::{Effort, Exceeded},
    tree::{Edit, Tree},
    vault::{Vault, reveal},
};
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind, paths::LocationSegment};
use micro_sdk::wire::{Code, Fault};
use serde_json::Value;

/// The largest schema.
pub(crate) const SCHEMA_BYTES_MAX: usize = 256 << 10;
/// How many violations a refusal names.
const VIOLATIONS_SHOWN: usize = 5;
/// The longest description of one.
const SHOWN_CHARS_MAX: usize = 300;
/// What stands in a document where a value is that nobody knows.
const UNKNOWN: &str = "null";
/// The keywords whose schemas hold only if a value is such or such.
const BRANCHES: [&str; 2] = ["then", "else"];

/// The schema of one service's part.
pub(crate) struct Schema {
    service: ConfigPath,
    effort: Effort,
    validator: Validator,
}

impl Schema {
    /// Reads the schema of the part that begins with `service`.
    ///
    /// # Errors
    /// [`Code::Usage`] if it is none.
    pub fn parse(service: &str, text: &str) -> Result<Self, Fault> {
        let refused = |why: String| {
            Fault::new(Code::Usage, format!("that is no JSON Schema (draft 2020-12): {why}"))
                .help("it has to be one document: other documents are not fetched")
        };
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(refused(format!("{} bytes are more than {SCHEMA_BYTES_MAX}", text.len())));
        }
        let mut schema: Value = serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
        Effort::mark(&mut schema);
        let effort = Effort::default();
        let validator = effort.validator(&schema);
        let validator = validator.map_err(|error| refused(shown(&error.to_string())))?;
        Ok(Schema { service: ConfigPath::parse(service)?, effort, validator })
    }

    /// Whether the service's part of `tree` fits, which `edits` have made what it is. A part where nothing is fits: its
    /// service lives from other sources. A secret that can't be opened and that no edit sets is there, but of a value
    /// that nobody knows: it is neither missing nor wrong, so that it is in nobody's way.
    ///
    /// # Errors
    /// [`Code::Usage`], naming the paths and what is wrong with them, but no secret; why a secret that is set can't be
    /// opened.
    pub fn check(&self, tree: &Tree, edits: &[Edit], vault: Option<&Vault>) -> Result<(), Fault> {
        let (mut leaves, mut unknown) = (Vec::new(), Vec::new());
        for (key, leaf) in tree.under(&self.service) {
            let sets = |edit: &Edit| edit.path == *key && edit.after.is_some();
            let text = match reveal(vault, key, &leaf.content) {
                Err(_) if !edits.iter().any(sets) => {
                    unknown.push(ConfigPath::parse(key)?);
                    Plaintext::new(UNKNOWN)
                }
                text => text?,
            };
            leaves.push((key, text));
        }
        let pairs = leaves.iter().map(|(key, text)| (key.as_str(), text.expose()));
        let Some(document) = assemble(&self.service, pairs) else { return Ok(()) };
        let document: Value = serde_json::from_str(document.expose()).map_err(|error| {
            Fault::new(
                Code::Internal,
                format!("what is at {} is not JSON: {:?}", self.service, error.classify()),
            )
        })?;
        let violations = || -> Vec<String> {
            let errors = self.validator.iter_errors(&document);
            let certain = errors.filter(|error| self.is_certain(error, &unknown)).take(VIOLATIONS_SHOWN);
            certain.map(|error| self.violation(tree, &error)).collect()
        };
        let violations = self.effort.bounded(violations).map_err(|Exceeded| {
            let message =
                format!("whether it fits the schema of {} takes too long to find out", self.service);
            Fault::new(Code::Usage, message).help("take references out that are followed again and again")
        })?;
        if violations.is_empty() {
            return Ok(());
        }
        let message = format!("it does not fit the schema of {}: {}", self.service, violations.join("; "));
        let help = format!("`micro-node config schema {}` shows the schema", self.service);
        Err(Fault::new(Code::Usage, message).help(help))
    }

    /// Whether it is wrong whatever the values at the `unknown` places are.
    fn is_certain(&self, error: &ValidationError<'_>, unknown: &[ConfigPath]) -> bool {
        let path = self.place(error);
        if unknown.is_empty() {
            return true;
        }
        // Which branch of a condition holds may depend on any value of the part.
        let mut is_name = false;
        for segment in error.evaluation_path().iter() {
            let LocationSegment::Property(keyword) = segment else { continue };
            if !is_name && BRANCHES.contains(&&*keyword) {
                return false;
            }
            is_name = !is_name && keyword == "properties";
        }
        // Of an object around one, these look at names alone.
        use ValidationErrorKind as Kind;
        let of_names = matches!(
            error.kind(),
            Kind::AdditionalProperties { .. }
                | Kind::MaxProperties { .. }
                | Kind::MinProperties { .. }
                | Kind::PropertyNames { .. }
                | Kind::Required { .. }
                | Kind::Type { .. }
        );
        unknown
            .iter()
            .all(|place| !place.meets(&path) || (of_names && path.names().len() < place.names().len()))
    }

    /// Where a violation is.
    fn place(&self, error: &ValidationError<'_>) -> ConfigPath {
        let mut path = self.service.clone();
        for segment in error.instance_path().iter() {
            // A place inside an array is not a path of its own.
            let LocationSegment::Property(name) = segment else { break };
            match path.child(name) {
                Ok(child) => path = child,
                Err(_) => break,
            }
        }
        path
    }

    fn violation(&self, tree: &Tree, error: &ValidationError<'_>) -> String {
        let path = self.place(error);
        let what = if tree.is_secret_around(&path) {
            error.masked_with("the secret").to_string()
        } else {
            error.to_string()
        };
        format!("{path}: {}", shown(&what))
    }
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::leaf::{Content, Leaf};

    fn tree(leaves: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in leaves {
            tree.insert((*path).to_owned(), Leaf { version: 1, content: Content::Plain((*text).to_owned()) });
        }
        tree
    }

    #[test]
    fn a_violation_names_its_path() {
        let schema = r#"{"type":"object","required":["limits"],
            "properties":{"limits":{"properties":{"items":{"type":"integer","maximum":9}}}}}"#;
        let schema = Schema::parse("shop", schema).expect("it is a schema");
        assert_eq!(schema.check(&tree(&[("shop.limits.items", "9"), ("other", "1")]), &[], None), Ok(()));
        assert_eq!(schema.check(&tree(&[("other", "1")]), &[], None), Ok(()), "nothing is there");
        for (leaves, wrong) in [
            (&[("shop.limits.items", "10")][..], "shop.limits.items: 10 is greater"),
            (&[("shop.limits.items", "\"x\"")], "shop.limits.items: \"x\" is not of type"),
            (&[("shop.name", "1")], "shop: \"limits\" is a required property"),
        ] {
            let fault = schema.check(&tree(leaves), &[], None).expect_err("it does not fit");
            assert!(fault.code == Code::Usage && fault.message.contains(wrong), "{fault}");
        }
    }

    #[test]
    fn what_is_no_schema_or_needs_another_document_is_refused() {
        for text in [
            "1",
            "{",
            r#"{"type":"no"}"#,
            r#"{"$ref":"http://127.0.0.1:1/x"}"#,
            r#"{"$ref":"file:///etc/passwd"}"#,
        ] {
            let fault = Schema::parse("shop", text).err().expect("it is no schema");
            assert_eq!(fault.code, Code::Usage, "{text}");
        }
    }
}
