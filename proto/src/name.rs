//! The rule for names of definitions (spec 01, section 2.1).

/// Whether `name` is a valid hostname in the sense of the API: ASCII letters of either case, digits and hyphens, at
/// least one character, the first and the last of them not a hyphen. There is no maximum length.
pub fn is_hostname(name: &str) -> bool {
    let bytes = name.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|&byte| byte == b'-' || byte.is_ascii_alphanumeric())
}

/// Whether `id` is a valid tenant id: a hostname that does not start with a digit.
pub fn is_tenant_id(id: &str) -> bool {
    is_hostname(id) && !id.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames() {
        for good in ["a", "9", "9x", "Abc-1", "a--b", &"x".repeat(300)] {
            assert!(is_hostname(good), "{good}");
        }
        for bad in [
            "", "-", "-a", "a-", "a_b", "a.b", "a/b", "a b", "a\n", "é", "a\u{e9}b", "\u{663}",
        ] {
            assert!(!is_hostname(bad), "{bad:?}");
        }
    }

    #[test]
    fn tenant_ids() {
        assert!(is_tenant_id("a1"));
        assert!(!is_tenant_id("1a"));
        assert!(!is_tenant_id("a_b"));
        assert!(!is_tenant_id(""));
    }
}
