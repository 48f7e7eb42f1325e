//! The users of this host, as people call them.

/// Where the host keeps the names of its users.
const USERS: &str = "/etc/passwd";

/// What to call the user with this number: `jane (uid 1000)`, or `uid 1000` where it has no name that this host knows.
pub(super) fn name_of(uid: u32) -> String {
    let users = users().unwrap_or_default();
    named(&users, uid).map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})"))
}

#[expect(clippy::disallowed_methods, reason = "users are the host's, and no simulation has any")]
fn users() -> std::io::Result<String> {
    std::fs::read_to_string(USERS)
}

/// The name in a line `name:password:uid:…` (passwd(5)).
fn named(users: &str, uid: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_called_by_its_name_if_it_has_one() {
        let users = "root:x:0:0:root:/root:/bin/sh\n\njane:x:1000:1000::/home/jane:/bin/sh\n";
        assert_eq!(named(users, 0), Some("root"));
        assert_eq!(named(users, 1000), Some("jane"));
        assert_eq!(named(users, 7), None);
        assert_eq!(name_of(u32::MAX - 7), format!("uid {}", u32::MAX - 7));
    }
}
