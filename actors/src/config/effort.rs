//! How much a schema may ask for: each step that validation takes through a reference is counted, and it ends where
//! there are too many.
//!
//! A schema of a few lines can ask for more than a lifetime: forty parts, each of which has to fit the next one twice,
//! double what is to be done forty times. A validator can't be told to stop, so it is left by unwinding, as from a
//! panic, but without one: no hook hears of it.

use jsonschema::{Keyword, ValidationError, json::Json};
use serde_json::Value;
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The words of a schema that send validation elsewhere. Without them it takes no more steps than the schema has parts
/// for each part of the document.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// Stands beside each of them, and counts.
const KEYWORD: &str = "x-micro-step";
/// Says of a schema, or of a part with a name of its own, by which draft it is to be read.
const DRAFT: &str = "$schema";
/// The most steps of one validation: a hundred for each leaf that a tree may have. They take about a second.
const STEPS_MAX: u64 = 1_000_000;

/// Counts the steps of one validator.
#[derive(Clone, Default)]
pub(super) struct Effort(Arc<AtomicU64>);

/// Validation has taken too many steps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exceeded;

impl Effort {
    /// Has each step through a reference of `schema` counted. All of it is read by one draft, whatever it says: by
    /// older ones, what stands beside a reference is not looked at.
    pub fn mark(schema: &mut Value) {
        match schema {
            Value::Object(members) => {
                members.values_mut().for_each(Self::mark);
                if members.get(DRAFT).is_some_and(Value::is_string) {
                    members.remove(DRAFT);
                }
                if REFERENCES.iter().any(|word| members.get(*word).is_some_and(Value::is_string)) {
                    members.insert(KEYWORD.to_owned(), Value::Bool(true));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(Self::mark),
            _ => {}
        }
    }

    /// The validator of a schema that was marked, whose steps count here.
    ///
    /// # Errors
    /// What is wrong with the schema.
    pub fn validator<'s>(&self, schema: &'s Value) -> Result<jsonschema::Validator, ValidationError<'s>> {
        let effort = self.clone();
        jsonschema::draft202012::options()
            .with_keyword(KEYWORD, move |_, _, _| Ok(Box::new(Step(effort.clone()))))
            .build(schema)
    }

    /// What `validate` finds, unless it takes too many steps.
    pub fn bounded<T>(&self, validate: impl FnOnce() -> T) -> Result<T, Exceeded> {
        self.0.store(0, Ordering::Relaxed);
        catch_unwind(AssertUnwindSafe(validate)).map_err(|cause| match cause.downcast::<Exceeded>() {
            Ok(exceeded) => *exceeded,
            Err(panic) => resume_unwind(panic),
        })
    }
}

/// One place that refers to another.
struct Step(Effort);

impl Step {
    fn count(&self) {
        if self.0.0.fetch_add(1, Ordering::Relaxed) >= STEPS_MAX {
            resume_unwind(Box::new(Exceeded));
        }
    }
}

impl<'i, F: Json> Keyword<'i, F> for Step {
    fn validate(&self, _instance: F::Node<'i>) -> Result<(), ValidationError<'i>> {
        self.count();
        Ok(())
    }

    fn is_valid(&self, _instance: F::Node<'i>) -> bool {
        self.count();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors(mut schema: Value, document: &Value) -> Result<usize, Exceeded> {
        Effort::mark(&mut schema);
        let effort = Effort::default();
        let validator = effort.validator(&schema).expect("it is a schema");
        effort.bounded(|| validator.iter_errors(document).count())
    }

    /// Parts of which each has to fit the next one twice.
    fn doubling(parts: usize) -> Value {
        let part = |number: usize| {
            let next = json!({"$ref": format!("#/$defs/{}", number + 1)});
            (number.to_string(), json!({"allOf": [next, next]}))
        };
        let mut parts: serde_json::Map<String, Value> = (0..parts).map(part).collect();
        parts.insert(parts.len().to_string(), json!({"type": "object"}));
        json!({"$ref": "#/$defs/0", "$defs": parts})
    }

    #[test]
    fn what_doubles_with_every_step_is_left() {
        assert_eq!(errors(doubling(40), &json!({})), Err(Exceeded));
        assert_eq!(errors(doubling(40), &json!(1)), Err(Exceeded));
        let mut older = doubling(40);
        older["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        assert_eq!(errors(older, &json!({})), Err(Exceeded));
        assert_eq!(errors(doubling(8), &json!({})), Ok(0));
        assert_eq!(errors(doubling(8), &json!(1)), Ok(256));
        let deep = (0..60).fold(json!([]), |inner, _| json!([inner]));
        let twice = json!({"items": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}});
        assert_eq!(errors(twice, &deep), Err(Exceeded));
    }

    #[test]
    fn what_refers_to_itself_is_as_it_was() {
        let tree = json!({
            "type": "object",
            "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}},
            "additionalProperties": false,
        });
        let full = |depth: u32| {
            (0..depth).fold(json!({}), |below, _| json!({"left": below.clone(), "right": below}))
        };
        assert_eq!(errors(tree.clone(), &full(10)), Ok(0));
        assert_eq!(errors(tree, &json!({"left": {"middle": 1}, "right": 2})), Ok(2));
        assert_eq!(errors(json!({"$ref": "#"}), &json!({})), Ok(0));
    }

    #[test]
    #[should_panic(expected = "a bug")]
    fn a_panic_stays_one() {
        let _never = Effort::default().bounded(|| panic!("a bug"));
    }
}
