//! Options of RocksDB. What was measured: `docs/performance.md`.

use std::time::Duration;

use index::Family;
use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, LogLevel, Options, WriteBufferManager};

/// See [`Shared::erase_after`].
const ERASE_AFTER: Duration = Duration::from_hours(24);

/// What the databases of one process share; so do its clones.
#[derive(Clone)]
pub struct Shared {
    cache: Cache,
    /// Memtables count as blocks of the cache.
    memtables: WriteBufferManager,
    write_buffer_bytes: usize,
    erase_after: Duration,
    is_compressed: bool,
}

impl Shared {
    /// `cache_bytes` bounds block cache and memtables of all groups together, `write_buffer_bytes` one family's memtable.
    pub fn new(cache_bytes: usize, write_buffer_bytes: usize) -> Shared {
        let cache = Cache::new_lru_cache(cache_bytes);
        // It would flush the database that writes, not the largest, and stall everybody: when to flush is decided above
        // (the runtime's scheduler), and its limit is never reached.
        let memtables = WriteBufferManager::new_write_buffer_manager_with_cache(
            cache_bytes.max(write_buffer_bytes),
            false,
            cache.clone(),
        );
        Shared {
            cache,
            memtables,
            write_buffer_bytes,
            erase_after: ERASE_AFTER,
            is_compressed: true,
        }
    }

    /// What is this old (whole seconds, at least 1) is compacted down, level by level, until a tombstone meets what it
    /// deletes in the last level, and both are gone. RocksDB looks every fifth of this time, and each level inherits the
    /// age, so the bound is 1.4 times this, and the time that the compactions take.
    ///
    /// That needs both of RocksDB's clocks. `ttl` alone moves a file as it is where nothing overlaps, and so brings a
    /// tombstone into the last level beside the value; `periodic_compaction_seconds` alone rewrites each file on the level
    /// where it is if that is the last in use. While the last in use is level 0, neither does; see
    /// [`crate::RocksBase`]'s flush.
    #[must_use]
    pub fn erase_after(mut self, time: Duration) -> Shared {
        self.erase_after = time;
        self
    }

    /// Values are written as they are: for tests that look for bytes in files.
    #[must_use]
    pub fn uncompressed(mut self) -> Shared {
        self.is_compressed = false;
        self
    }

    pub(crate) fn options(&self, family: Family) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_bloom_filter(10.0, false);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table.set_format_version(6);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_atomic_flush(true);
        options.set_write_buffer_manager(&self.memtables);
        // Each family's memtable takes a whole arena block on its first write; the default is 1 MiB.
        options.set_arena_block_size(64 << 10);
        options.set_write_buffer_size(self.write_buffer_bytes);
        options.set_max_background_jobs(2);
        options.set_max_open_files(512);
        options.set_skip_stats_update_on_db_open(true);
        options.set_level_compaction_dynamic_level_bytes(true);
        // A write-back makes one file of level 0; more of them before a compaction, fewer times is each row rewritten.
        options.set_level_zero_file_num_compaction_trigger(8);
        // The log's syncs wait for what the disk has before them, so it gets files piece by piece, not at their end.
        options.set_bytes_per_sync(1 << 20);
        if self.is_compressed {
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_bottommost_compression_type(DBCompressionType::Zstd);
        } else {
            options.set_compression_type(DBCompressionType::None);
            options.set_bottommost_compression_type(DBCompressionType::None);
        }
        let erase_after = self.erase_after.as_secs().max(1);
        options.set_ttl(erase_after);
        options.set_periodic_compaction_seconds(erase_after);
        if family != Family::State {
            // Scans go through what is gone: files in which it lies close together are compacted soon.
            options.add_compact_on_deletion_collector_factory(4096, 2048, 0.0);
        }
        options.set_block_based_table_factory(&table);
        options.set_keep_log_file_num(2);
        // It names the first and last key of each file, and is begun anew beyond this.
        options.set_max_manifest_file_size(4 << 20);
        options.set_log_level(LogLevel::Warn);
        options.set_stats_dump_period_sec(0);
        options
    }
}
