//! One page of a search or list: limit, bookmark, and the size that clients accept (spec 07, sections 1 and 5).

use std::future::Future;
use std::ops::Bound;

use bytes::{BufMut, Bytes, BytesMut};
use index::key::{KeyError, KeyReader, KeyWriter};
use index::{Family, KeyRange};
use prost::Message;
use query::{Bookmark, Digest, Merge, Search};
use tonic::Status;
use wal::GroupId;

use super::wf_run_search::{Times, created};
use super::{Caller, Service, error};

/// Results of a page when the request names no limit, and the most that one page holds (spec 07, section 1.2).
const DEFAULT_LIMIT: i32 = 100;
const MAX_LIMIT: usize = 1000;
/// A page ends early before it outgrows what clients accept (spec 07, section 5).
const MAX_BYTES: usize = 3_500_000;

/// A page of a search or list.
pub(crate) struct Page<T> {
    pub results: Vec<T>,
    pub bookmark: Option<Bytes>,
}

/// Which page of which search is asked for.
pub(crate) struct PageRequest<'a> {
    pub rpc: &'static str,
    /// The request without limit and bookmark.
    pub criteria: Vec<u8>,
    pub limit: Option<i32>,
    pub bookmark: Option<&'a Bytes>,
}

/// The criteria of a search: the request as the client sent it, but for limit and bookmark, which the caller clears.
pub(crate) fn criteria(request: &impl Message) -> Vec<u8> {
    request.encode_to_vec()
}

/// A page that is being filled.
struct Filling<T> {
    digest: Digest,
    limit: usize,
    /// Key of the last result.
    last: Bytes,
    bytes: usize,
    results: Vec<T>,
}

impl<T: Message> Filling<T> {
    /// Adds a result; says no when the page is full without it.
    fn add(&mut self, key: Bytes, result: T) -> bool {
        self.bytes += result.encoded_len();
        if self.results.len() == self.limit || (self.bytes > MAX_BYTES && !self.results.is_empty())
        {
            return false;
        }
        self.results.push(result);
        self.last = key;
        true
    }
}

impl Service {
    /// One page over the rows of a range of the core groups. `take` turns a row into a result, or leaves it out.
    pub(super) async fn page<T, F>(
        &self,
        caller: &Caller,
        request: PageRequest<'_>,
        groups: Vec<GroupId>,
        (family, range): (Family, KeyRange),
        mut take: impl FnMut(Bytes, Bytes) -> F + Send,
    ) -> Result<Page<T>, Status>
    where
        T: Message,
        F: Future<Output = Result<Option<T>, Status>> + Send,
    {
        let (mut filling, after) = self.open_page(caller, &request)?;
        let partitions = groups
            .into_iter()
            .map(|group| self.partition(group))
            .collect::<Result<Vec<_>, _>>()?;
        let mut rows = Merge::new(
            Search {
                family,
                range,
                after,
                page: filling.limit + 1,
            },
            partitions,
        );
        while let Some((key, value)) = rows.next().await.map_err(error::of_query)? {
            let Some(result) = take(key.clone(), value).await? else {
                continue;
            };
            if !filling.add(key, result) {
                return Ok(self.close_page(filling, true));
            }
        }
        Ok(self.close_page(filling, false))
    }

    /// Like [`Service::page`], over the entries of an index of all groups in which a time stands behind the attributes.
    /// `read` makes the result of what follows the time.
    pub(super) async fn page_by_age<T: Message>(
        &self,
        caller: &Caller,
        request: PageRequest<'_>,
        times: Times,
        range: KeyRange,
        read: impl Fn(&mut KeyReader<'_>) -> Result<T, KeyError> + Send,
    ) -> Result<Page<T>, Status> {
        let prefix = created::prefix_len(&range);
        let groups = self.engine.route().all().collect();
        let entries = (Family::Index, times.narrow(range));
        let take = move |entry: Bytes, _| {
            let mut rest = KeyReader::new(&entry[prefix..]);
            let result = rest.i64().and_then(|_| read(&mut rest));
            std::future::ready(result.map(Some).map_err(error::internal))
        };
        self.page(caller, request, groups, entries, take).await
    }

    /// Like [`Service::page`], over the metadata.
    pub(super) fn metadata_page<T: Message>(
        &self,
        caller: &Caller,
        request: &PageRequest<'_>,
        mut range: KeyRange,
        mut take: impl FnMut(&Bytes) -> Option<T>,
    ) -> Result<Page<T>, Status> {
        let (filling, after) = self.open_page(caller, request)?;
        if let Some(after) = after {
            range.start = Bound::Excluded(after);
        }
        let rows = self.metadata().scan(&range, usize::MAX, false).into_iter();
        let results = rows.filter_map(|(key, value)| Some((key, take(&value)?)));
        Ok(self.fill_page(filling, results))
    }

    /// Like [`Service::metadata_page`], oldest first. `take` also says when the object was created, in milliseconds since
    /// the epoch. All of the range is read for each page: there is no index of the metadata, which is small.
    pub(super) fn metadata_page_by_age<T: Message>(
        &self,
        caller: &Caller,
        request: &PageRequest<'_>,
        range: &KeyRange,
        mut take: impl FnMut(&Bytes) -> Option<(i64, T)>,
    ) -> Result<Page<T>, Status> {
        let (filling, after) = self.open_page(caller, request)?;
        let rows = self.metadata().scan(range, usize::MAX, false).into_iter();
        let mut results: Vec<(Bytes, T)> = rows
            .filter_map(|(key, value)| {
                let (created_ms, result) = take(&value)?;
                let mut place = BytesMut::from(&KeyWriter::new().i64(created_ms).finish()[..]);
                place.put_slice(&key);
                Some((place.freeze(), result))
            })
            .filter(|(place, _)| after.as_ref().is_none_or(|after| place > after))
            .collect();
        results.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(self.fill_page(filling, results.into_iter()))
    }

    fn fill_page<T: Message>(
        &self,
        mut filling: Filling<T>,
        results: impl Iterator<Item = (Bytes, T)>,
    ) -> Page<T> {
        for (key, result) in results {
            if !filling.add(key, result) {
                return self.close_page(filling, true);
            }
        }
        self.close_page(filling, false)
    }

    /// An empty page, and the key that its results come after.
    fn open_page<T>(
        &self,
        caller: &Caller,
        request: &PageRequest<'_>,
    ) -> Result<(Filling<T>, Option<Bytes>), Status> {
        let digest = Digest::of(&[
            caller.tenant.as_bytes(),
            request.rpc.as_bytes(),
            &request.criteria,
        ]);
        let sealed = request.bookmark.map_or(&[][..], |bookmark| bookmark);
        let bookmark = Bookmark::open(sealed, digest, &self.secret)
            .map_err(|e| Status::invalid_argument(e.to_string()))?;
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
        let limit = usize::try_from(limit)
            .ok()
            .filter(|limit| *limit > 0)
            .map(|limit| limit.min(MAX_LIMIT));
        let limit = limit.ok_or_else(|| Status::invalid_argument("limit must be positive"))?;
        let filling = Filling {
            digest,
            limit,
            last: Bytes::new(),
            bytes: 0,
            results: Vec::new(),
        };
        Ok((filling, bookmark.map(|bookmark| bookmark.after)))
    }

    fn close_page<T>(&self, filling: Filling<T>, more: bool) -> Page<T> {
        let bookmark = more.then(|| {
            Bookmark {
                after: filling.last,
            }
            .seal(filling.digest, &self.secret)
        });
        Page {
            results: filling.results,
            bookmark,
        }
    }
}
