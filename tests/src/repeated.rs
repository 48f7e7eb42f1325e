//! Long texts in few letters, for files that people read.

use anyhow::Context;

/// The text with `$(what*N)` replaced by `what`, N times. `what` holds no closing bracket.
///
/// # Errors
/// If a bracket is open, or what it holds does not end in a number of times.
pub fn repeated(text: &str) -> anyhow::Result<String> {
    let (mut whole, mut rest) = (String::new(), text);
    while let Some((before, inside)) = rest.split_once("$(") {
        let (inside, after) = inside.split_once(')').context("an open bracket")?;
        let (what, times) = inside.rsplit_once('*').context("no number of times")?;
        whole += before;
        whole += &what.repeat(times.parse().with_context(|| format!("{times:?} is no number of times"))?);
        rest = after;
    }
    Ok(whole + rest)
}
