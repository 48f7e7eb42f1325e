//! Which rows are wanted.

/// Which rows are wanted: all, or those with a word in their name.
#[derive(Clone, Debug)]
pub struct Selection {
    word: Option<String>,
}

impl Selection {
    /// Rows whose names contain `word`, in whatever case; without a word all.
    pub fn new(word: Option<String>) -> Self {
        Selection { word: word.map(|word| word.to_lowercase()) }
    }

    /// Whether the row with this name is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.word.as_ref().is_none_or(|word| name.to_lowercase().contains(word))
    }

    /// Whether any of these is wanted.
    pub fn wants_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.wants(name))
    }
}
