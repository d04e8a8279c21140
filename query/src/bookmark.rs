//! Bookmarks: where a page ended. Opaque to clients, bound to tenant, RPC and criteria, and tamper-evident. They hold a
//! position in the order of the search, so they outlive restarts and any change of the physical layout.

use bytes::{BufMut, Bytes, BytesMut};

const VERSION: u8 = 1;
const DIGEST: usize = 16;
const MAC: usize = 16;

/// Keyed by the data directory: nobody else can make a bookmark.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// From what the data directory keeps.
    pub fn new(bytes: [u8; 32]) -> Secret {
        Secret(bytes)
    }
}

/// What a bookmark is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; DIGEST]);

impl Digest {
    /// Of a search: the parts that make it this one (tenant, RPC, encoded criteria).
    pub fn of(parts: &[&[u8]]) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let mut digest = [0; DIGEST];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..DIGEST]);
        Digest(digest)
    }
}

/// A bookmark cannot be used for this search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BookmarkError {
    /// It is not one of ours, or it was changed.
    #[error("the bookmark is invalid")]
    Invalid,
    /// It belongs to another search.
    #[error(
        "the bookmark is invalid for this request: it belongs to another RPC, tenant or other criteria"
    )]
    OtherSearch,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bookmark {
    /// The last key returned.
    pub after: Bytes,
}

impl Bookmark {
    /// The form that clients carry.
    pub fn seal(&self, digest: Digest, secret: &Secret) -> Bytes {
        let mut bytes = BytesMut::with_capacity(1 + DIGEST + self.after.len() + MAC);
        bytes.put_u8(VERSION);
        bytes.put_slice(&digest.0);
        bytes.put_slice(&self.after);
        let mac = mac(&bytes, secret);
        bytes.put_slice(&mac);
        bytes.freeze()
    }

    /// Reads what a client sent. No bytes mean no bookmark.
    pub fn open(
        sealed: &[u8],
        digest: Digest,
        secret: &Secret,
    ) -> Result<Option<Bookmark>, BookmarkError> {
        if sealed.is_empty() {
            return Ok(None);
        }
        if sealed.len() < 1 + DIGEST + MAC || sealed[0] != VERSION {
            return Err(BookmarkError::Invalid);
        }
        let (content, given) = sealed.split_at(sealed.len() - MAC);
        if mac(content, secret)[..] != *given {
            return Err(BookmarkError::Invalid);
        }
        if content[1..=DIGEST] != digest.0 {
            return Err(BookmarkError::OtherSearch);
        }
        Ok(Some(Bookmark {
            after: Bytes::copy_from_slice(&content[1 + DIGEST..]),
        }))
    }
}

fn mac(content: &[u8], secret: &Secret) -> [u8; MAC] {
    let mut mac = [0; MAC];
    mac.copy_from_slice(&blake3::keyed_hash(&secret.0, content).as_bytes()[..MAC]);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bookmark_works_for_its_own_search_only_and_no_bit_of_it_can_be_changed() {
        let secret = Secret::new([7; 32]);
        let digest = Digest::of(&[b"tenant", b"Find", b"criteria"]);
        let bookmark = Bookmark {
            after: Bytes::from_static(b"the last key"),
        };
        let sealed = bookmark.seal(digest, &secret);
        assert_eq!(Bookmark::open(&sealed, digest, &secret), Ok(Some(bookmark)));
        assert_eq!(Bookmark::open(&[], digest, &secret), Ok(None));
        for other in [
            Digest::of(&[b"other", b"Find", b"criteria"]),
            Digest::of(&[b"tenant", b"Seek", b"criteria"]),
            Digest::of(&[b"tenant", b"Findcriteria", b""]),
        ] {
            assert_eq!(
                Bookmark::open(&sealed, other, &secret),
                Err(BookmarkError::OtherSearch)
            );
        }
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                Bookmark::open(&changed, digest, &secret),
                Err(BookmarkError::Invalid),
                "bit {bit}"
            );
        }
        for cut in 1..sealed.len() {
            assert_eq!(
                Bookmark::open(&sealed[..cut], digest, &secret),
                Err(BookmarkError::Invalid),
                "cut at {cut}"
            );
        }
        assert_eq!(
            Bookmark::open(&sealed, digest, &Secret::new([8; 32])),
            Err(BookmarkError::Invalid)
        );
    }
}
