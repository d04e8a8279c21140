//! `WfRunId`: ids from the root to the run itself, joined with `_`.

use super::{ParseError, component};
use crate::littlehorse::WfRunId;
use std::fmt;
use std::str::FromStr;

/// Most ancestors that a parsed `WfRunId` has. The decoder of messages allows 100 levels in all, and an id is part of
/// other messages; what was stored must be readable again. Whoever starts a child run checks
/// [`ancestors`](WfRunId::ancestors) against the same bound.
pub const MAX_ANCESTORS: usize = 63;

const SEPARATOR: char = '_';

impl WfRunId {
    /// The id of a run without parent.
    pub fn root(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            parent_wf_run_id: None,
        }
    }

    /// The id of a child of this run.
    pub fn child(self, id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            parent_wf_run_id: Some(Box::new(self)),
        }
    }

    /// The id of the topmost ancestor, or of the run itself if it has no parent. All objects of a run and of its
    /// descendants live where this id is at home.
    pub fn root_id(&self) -> &str {
        let mut run = self;
        while let Some(parent) = &run.parent_wf_run_id {
            run = parent;
        }
        &run.id
    }

    /// Number of ancestors: 0 for a run without parent.
    pub fn ancestors(&self) -> usize {
        let mut count = 0;
        let mut run = self;
        while let Some(parent) = &run.parent_wf_run_id {
            run = parent;
            count += 1;
        }
        count
    }

    /// The id whose text form is `text`, whatever that is: the cast of `STR` to `WF_RUN_ID`, which never fails (spec 02,
    /// section 5.2, d). Beyond [`MAX_ANCESTORS`] the text is not split further, and what is left is the id of the root.
    pub fn from_any_text(text: &str) -> Self {
        let mut parts: Vec<&str> = text.rsplitn(MAX_ANCESTORS + 1, SEPARATOR).collect();
        let root = Self::root(parts.pop().unwrap_or_default());
        parts.into_iter().rev().fold(root, Self::child)
    }
}

/// Text form: `id`, or for a child the text form of its parent, `_` and its `id`.
impl fmt::Display for WfRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = &self.parent_wf_run_id else {
            return f.write_str(&self.id);
        };
        // Not recursive: an id made in memory may have any depth.
        let mut ids = vec![self.id.as_str()];
        let mut next = Some(parent);
        while let Some(run) = next {
            ids.push(&run.id);
            next = run.parent_wf_run_id.as_ref();
        }
        while let Some(id) = ids.pop() {
            f.write_str(id)?;
            if !ids.is_empty() {
                f.write_str("_")?;
            }
        }
        Ok(())
    }
}

/// Refuses empty components, slashes and more than [`MAX_ANCESTORS`] ancestors.
impl FromStr for WfRunId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError::new("WfRunId", "[<parent>_]<id>", text);
        let mut run: Option<Self> = None;
        for (depth, part) in text.split(SEPARATOR).enumerate() {
            if depth > MAX_ANCESTORS {
                return Err(error());
            }
            let id = component(part).ok_or_else(error)?;
            run = Some(match run {
                Some(parent) => parent.child(id),
                None => Self::root(id),
            });
        }
        run.ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{refused, same};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ancestors_come_first() {
        let run = WfRunId::root("g").child("p").child("c");
        // spec 01-3: the text form only; the cast is tested with the values.
        same(&WfRunId::root("p").child("c"), "p_c");
        same(&run, "g_p_c");
        assert_eq!(run.root_id(), "g");
        assert_eq!(run.ancestors(), 2);
        assert_eq!(WfRunId::root("g").root_id(), "g");
        assert_eq!(WfRunId::root("g").ancestors(), 0);
    }

    #[test]
    fn strict_parsing_refuses_what_no_run_has() {
        refused::<WfRunId>(&["", "_", "a_", "_a", "a__b", "a/b", "a_b/c"]);
    }

    #[test]
    fn depth_is_bounded() {
        let deepest = vec!["a"; MAX_ANCESTORS + 1].join("_");
        let run: WfRunId = deepest.parse().unwrap();
        assert_eq!(run.ancestors(), MAX_ANCESTORS);
        assert_eq!(WfRunId::from_any_text(&deepest), run);

        let deeper = format!("a_{deepest}");
        refused::<WfRunId>(&[&deeper]);
        let run = WfRunId::from_any_text(&deeper);
        assert_eq!(run.ancestors(), MAX_ANCESTORS);
        assert_eq!(run.root_id(), "a_a");
        assert_eq!(run.to_string(), deeper);
    }

    #[test]
    fn the_deepest_id_survives_the_wire_inside_a_record() {
        use crate::littlehorse::{NodeRunId, VariableValue, variable_value::Value};
        use prost::Message;

        let run = WfRunId::from_any_text(&vec!["a"; MAX_ANCESTORS + 1].join("_"));
        let value = VariableValue {
            value: Some(Value::WfRunId(run.clone())),
        };
        assert_eq!(
            VariableValue::decode(value.encode_to_vec().as_slice()),
            Ok(value)
        );
        let node = NodeRunId {
            wf_run_id: Some(run),
            ..NodeRunId::default()
        };
        assert_eq!(NodeRunId::decode(node.encode_to_vec().as_slice()), Ok(node));
    }

    fn any_run() -> impl Strategy<Value = WfRunId> {
        prop::collection::vec(
            "[A-Za-z0-9]([-A-Za-z0-9]{0,6}[A-Za-z0-9])?",
            1..=MAX_ANCESTORS + 1,
        )
        .prop_map(|mut ids| {
            let root = WfRunId::root(ids.remove(0));
            ids.into_iter().fold(root, WfRunId::child)
        })
    }

    proptest! {
        #[test]
        fn text_round_trip(run in any_run()) {
            let text = run.to_string();
            prop_assert_eq!(text.parse::<WfRunId>(), Ok(run.clone()));
            prop_assert_eq!(&WfRunId::from_any_text(&text), &run);
            prop_assert_eq!(text.split('_').next(), Some(run.root_id()));
            prop_assert_eq!(text.matches('_').count(), run.ancestors());
        }

        #[test]
        fn any_text_is_kept(text in "[ab_/]{0,200}|.{0,40}") {
            let run = WfRunId::from_any_text(&text);
            prop_assert_eq!(run.to_string(), text.clone());
            prop_assert!(run.ancestors() <= MAX_ANCESTORS);
            // What the strict parser accepts, both see alike.
            if let Ok(strict) = text.parse::<WfRunId>() {
                prop_assert_eq!(strict, run);
            }
        }
    }
}
