//! Paths into values (spec 02, section 7): [`json`] for JSON text, [`lh`] for typed values.

mod jayway;
pub mod json;
pub mod lh;
