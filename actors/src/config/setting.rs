//! A value that is set, and what it meets: objects are merged, and all else replaces what stands at its own place.

use crate::config::{
    ConfigPath, Plaintext,
    document::flatten,
    leaf::{Content, Leaf, MASK},
    plan::Obstacle,
    tree::Tree,
    vault::{Vault, reveal},
};
use micro_sdk::wire::{Code, Fault};

/// How a value is set, and where.
pub(crate) struct Setting<'a> {
    pub tree: &'a Tree,
    pub vault: Option<&'a Vault>,
    /// The change that sets it.
    pub version: u64,
    pub secret: bool,
    pub replace: bool,
}

impl Setting<'_> {
    /// The tree with `value` at `path`.
    ///
    /// # Errors
    /// [`Code::Usage`] if it can't be kept, or has to go through what is no object; or there is no key to seal it with.
    pub fn of(&self, path: &ConfigPath, value: &Plaintext) -> Result<Tree, Obstacle> {
        let mut next = self.tree.clone();
        if self.replace {
            next.remove(path);
        }
        for (place, text) in flatten(path, value.expose())? {
            self.check_way(&next, path, &place)?;
            // An empty object is merged as any other: it takes nothing away.
            if text.expose() != "{}" || !next.is_branch(&place) {
                next.put(&place, self.leaf(&place, &text)?);
            }
        }
        Ok(next)
    }

    /// Refuses a way to `place` through what is no object: that would be lost without a word. What is `named` itself
    /// may be anything, since whoever names it says what is to be there.
    fn check_way(&self, next: &Tree, named: &ConfigPath, place: &ConfigPath) -> Result<(), Fault> {
        let named = named.key();
        for (key, name) in place.ancestors().zip(place.names().iter().skip(1)) {
            let there = next.get(&key).filter(|_| key != named);
            if let Some(kind) = there.and_then(|there| self.kind(&key, there)) {
                let message = format!("{key} is {kind}, not an object: nothing can be set below it");
                let member = serde_json::to_string(name).expect("text always has a JSON form");
                return Err(Fault::new(Code::Usage, message).help(format!(
                    "to have an object there instead: micro-node config set {key} '{{{member}: …}}'"
                )));
            }
        }
        Ok(())
    }

    /// What a leaf is, in words; none if it is an object, which can only be an empty one.
    fn kind(&self, key: &str, leaf: &Leaf) -> Option<&'static str> {
        if leaf.content.is_secret() {
            let empty = reveal(self.vault, key, &leaf.content).is_ok_and(|text| text.expose() == "{}");
            return (!empty).then_some("a secret");
        }
        match leaf.content.masked().as_bytes().first() {
            Some(b'{') => None,
            Some(b'[') => Some("a list"),
            Some(b'"') => Some("a text"),
            Some(b't' | b'f') => Some("true or false"),
            Some(b'n') => Some("null"),
            _ => Some("a number"),
        }
    }

    /// The leaf with this text: the one that is there, if it is the same.
    fn leaf(&self, path: &ConfigPath, text: &Plaintext) -> Result<Leaf, Obstacle> {
        let (key, there) = (path.key(), self.tree.get(&path.key()));
        let secret = self.secret || self.tree.is_secret_around(path);
        if text.expose() == MASK {
            // Who writes back what was shown without its secrets must not lose them.
            let there = there.filter(|there| there.content.is_secret());
            return Ok(there.cloned().ok_or_else(|| no_secret(&key))?);
        }
        if let Some(there) = there.filter(|there| there.content.is_secret() == secret)
            && reveal(self.vault, &key, &there.content).is_ok_and(|known| known == *text)
        {
            return Ok(there.clone());
        }
        let content = match secret {
            false => Content::Plain(text.expose().to_owned()),
            true => self.vault.and_then(|vault| vault.seal(path, text)).ok_or(Obstacle::NeedsKey)?,
        };
        Ok(Leaf { version: self.version, content })
    }
}

fn no_secret(path: &str) -> Fault {
    let message = format!("{MASK} at {path} stands for a secret, and none is there");
    Fault::new(Code::Usage, message).help("give the secret itself, or leave it out")
}
