//! How far long work has got, on stderr, where a person looks on.

use super::output::Output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that is taken away when it is dropped. Shows nothing where stderr is no terminal, or with `--quiet`.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar for `total` bytes of what is being done.
    pub(super) fn bytes(output: &Output, doing: &'static str, total: u64) -> Progress {
        let target = match output.verbosity() {
            ..0 => ProgressDrawTarget::hidden(),
            _ => ProgressDrawTarget::stderr(),
        };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}");
        let bar = ProgressBar::with_draw_target(Some(total), target)
            .with_style(style.expect("the template is a good one"))
            .with_message(doing);
        Progress(bar)
    }

    /// A bar for a number of things that is not known yet.
    pub(super) fn count(output: &Output, doing: &'static str) -> Progress {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}");
        let progress = Progress::bytes(output, doing, 0);
        progress.0.set_style(style.expect("the template is a good one"));
        progress
    }

    /// So many of so many are done.
    pub(super) fn of(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// A count of the bytes of what is being done, where nobody knows how many there will be.
    pub(super) fn unknown(output: &Output, doing: &'static str) -> Progress {
        let style = ProgressStyle::with_template("{msg} {spinner} {bytes} {bytes_per_sec}");
        let progress = Progress::bytes(output, doing, 0);
        progress.0.unset_length();
        progress.0.set_style(style.expect("the template is a good one"));
        progress
    }

    /// So many bytes are done.
    pub(super) fn at(&self, bytes: u64) {
        self.0.set_position(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
