//! A call is done as often as its caller was told it may have been: what was answered was done, what certainly failed
//! was not, and what must not be done twice never is, whatever the node tried again.

use super::{Checker, Ending, Violation};
use crate::workload::{
    Outcome,
    work::{WorkAsked, WorkJournal},
};

/// The attempts that a policy gives, the first one included.
const ATTEMPTS: u32 = 3;

/// How often pieces of work were done.
#[derive(Default)]
pub struct Calls;

impl Checker for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        wrong(&ending.journals.work).map_or(Ok(()), |what| Err(self.violation(what)))
    }
}

fn wrong(journal: &WorkJournal) -> Option<String> {
    journal.asked.entries().into_iter().find_map(|entry| {
        let (client, asked) = (&entry.client, entry.asked);
        let done = journal.done.times(asked.piece());
        let most = match asked {
            WorkAsked::Once(_) => 1,
            WorkAsked::Twice(_) => ATTEMPTS,
        };
        match entry.outcome {
            _ if done > most => Some(format!("{client} asked for {asked:?}, and it was done {done} times")),
            Outcome::Done(answer) if answer != asked.piece() => {
                Some(format!("{client} asked for {asked:?}, and was answered {answer}"))
            }
            Outcome::Done(_) if done == 0 => {
                Some(format!("{client} was told that {asked:?} is done, and it is not"))
            }
            Outcome::Failed | Outcome::Refused if done > 0 => Some(format!(
                "{client} was told that nothing was done of {asked:?}, and it was, {done} times"
            )),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_done_too_often_or_not_at_all_is_seen() {
        for (asked, outcome, times, good) in [
            (WorkAsked::Once(7), Outcome::Done(7), 1, true),
            (WorkAsked::Once(7), Outcome::Unknown, 0, true),
            (WorkAsked::Once(7), Outcome::Unknown, 2, false),
            (WorkAsked::Once(7), Outcome::Failed, 1, false),
            (WorkAsked::Once(7), Outcome::Done(7), 0, false),
            (WorkAsked::Once(7), Outcome::Done(8), 1, false),
            (WorkAsked::Twice(7), Outcome::Done(7), 3, true),
            (WorkAsked::Twice(7), Outcome::Done(7), 4, false),
        ] {
            let journal = WorkJournal::default();
            let place = journal.asked.ask("c", asked, Duration::ZERO);
            journal.asked.tell(place, outcome.clone(), Duration::ZERO);
            for _ in 0..times {
                journal.done.again(7);
            }
            assert_eq!(wrong(&journal).is_none(), good, "{asked:?} {outcome:?} {times}");
        }
    }
}
