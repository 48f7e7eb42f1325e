//! Listings in the manner of kubectl: no borders, headings in upper case, two spaces between columns.

use clap::builder::styling::{AnsiColor, Style};
use comfy_table::{ContentArrangement, presets};

/// What stands where there is nothing to say.
pub(super) const NOTHING: &str = "–";

/// The longest cell, in characters. A table is for people; who needs all of a long value asks for JSON.
const CELL_CHARS_MAX: usize = 1000;

/// How a row should strike the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Plain,
    /// Worth a look.
    Warning,
    /// Broken.
    Alarm,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Tone::Plain => Style::new(),
            Tone::Warning => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
            Tone::Alarm => Style::new().fg_color(Some(AnsiColor::Red.into())),
        }
    }
}

/// A listing.
pub(super) struct Table {
    headers: Vec<&'static str>,
    rows: Vec<(Tone, Vec<String>)>,
}

impl Table {
    /// A listing with these columns and no rows yet.
    pub(super) fn new(headers: impl IntoIterator<Item = &'static str>) -> Self {
        Table { headers: headers.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.row_in(Tone::Plain, cells);
    }

    /// Adds a row that strikes the eye.
    pub(super) fn row_in(&mut self, tone: Tone, cells: impl IntoIterator<Item = String>) {
        self.rows.push((tone, cells.into_iter().map(|cell| clean(&cell)).collect()));
    }

    /// Whether there are no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The listing, without a line end after the last row. Lines are never wrapped; given a width they are
    /// cut.
    pub(super) fn render(&self, headers: bool, width: Option<usize>) -> String {
        let mut grid = comfy_table::Table::new();
        grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        let mut tones = Vec::with_capacity(self.rows.len() + 1);
        if headers {
            grid.add_row(self.headers.clone());
            tones.push(Tone::Plain);
        }
        for (tone, row) in &self.rows {
            grid.add_row(row.clone());
            tones.push(*tone);
        }
        for column in grid.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let lines = grid.lines().zip(tones).map(|(line, tone)| {
            let style = tone.style();
            format!("{style}{}{style:#}", cut(line.trim_end(), width))
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Text that can't move the cursor, break a line, or go on for ever.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(CELL_CHARS_MAX));
    for (index, char) in text.chars().enumerate() {
        if index == CELL_CHARS_MAX {
            clean.push('…');
            break;
        }
        match char {
            char if char.is_control() => clean.extend(char.escape_default()),
            char => clean.push(char),
        }
    }
    clean
}

/// The line, or as much of it as fits.
pub(super) fn cut(line: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if line.chars().count() > width => {
            let kept: String = line.chars().take(width.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(["KEY", "VALUE", "VERSION"]);
        table.row(["id1".to_owned(), "{\"name\":\"Jane\"}".to_owned(), "42".to_owned()]);
        table.row(["a-longer-id".to_owned(), "日本".to_owned(), NOTHING.to_owned()]);
        table
    }

    #[test]
    fn columns_line_up_without_borders_or_trailing_blanks() {
        let text = "\
KEY          VALUE            VERSION
id1          {\"name\":\"Jane\"}  42
a-longer-id  日本             –";
        assert_eq!(sample().render(true, None), text);
        assert!(sample().render(false, None).starts_with("id1 "));
    }

    #[test]
    fn a_narrow_terminal_cuts_and_never_wraps() {
        let text = sample().render(true, Some(16));
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            ["KEY          VA…", "id1          {\"…", "a-longer-id  日本…"]
        );
    }

    #[test]
    fn a_value_can_neither_steer_the_terminal_nor_break_the_listing() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\td"), "a\\u{1b}[2Jb\\nc\\td");
        assert_eq!(clean(&"x".repeat(2000)).chars().count(), CELL_CHARS_MAX + 1);
    }

    #[test]
    fn a_row_that_should_strike_the_eye_is_coloured_as_a_whole() {
        let mut table = Table::new(["NAME"]);
        table.row_in(Tone::Alarm, ["bravo".to_owned()]);
        assert_eq!(table.render(true, None), "NAME\n\u{1b}[31mbravo\u{1b}[0m");
    }
}
