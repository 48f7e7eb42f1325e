//! A call comes back with its own answer, not another's.

use super::{Checker, Ending, Violation};
use crate::workload::{Asked, Told};

/// Echoes are true.
#[derive(Default)]
pub struct EchoAnswers;

impl Checker for EchoAnswers {
    fn name(&self) -> &'static str {
        "echo answers"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        for op in &ending.history {
            if let (Asked::Echo { value }, Some((_, Told::Found(Some((answer, _)))))) = (&op.asked, &op.told)
                && answer != value
            {
                let what = format!("{} called with {value} and was answered {answer}", op.client);
                return Err(self.violation(what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Op;
    use std::time::Duration;

    #[test]
    fn the_answer_to_another_call_is_seen() {
        for (answer, good) in [(4, true), (5, false)] {
            let told = Some((Duration::ZERO, Told::Found(Some((answer, 0)))));
            let asked = Asked::Echo { value: 4 };
            let op = Op { client: "c".into(), key: String::new(), asked, from: Duration::ZERO, told };
            let ending = Ending { history: vec![op], ..Ending::default() };
            assert_eq!(EchoAnswers.conclude(&ending).is_ok(), good);
        }
    }
}
