//! What evaluation and checks ask of their surroundings.

use std::sync::Arc;

use proto::littlehorse::{InlineStructDef, TypeDefinition, VariableValue};

use super::fault::Fault;
use super::path::json::JsonPath;

/// Looks up StructDefs.
pub trait StructDefs {
    /// The fields of one version; of the latest if `version` is negative. `None`: there is none.
    fn struct_def(&self, name: &str, version: i32) -> Option<Arc<InlineStructDef>>;

    /// The latest version. What has StructDefs must say it, for version -1 to be pinned.
    fn latest_version(&self, name: &str) -> Option<i32> {
        let _ = name;
        None
    }
}

/// No StructDefs: where none can be named.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStructs;

impl StructDefs for NoStructs {
    fn struct_def(&self, _name: &str, _version: i32) -> Option<Arc<InlineStructDef>> {
        None
    }
}

/// What an expression of a running thread sees.
pub trait Scope: StructDefs {
    /// The value of a variable as the thread sees it; a fault if it is not in scope.
    fn variable(&self, name: &str) -> Result<VariableValue, Fault>;

    /// The declared type of a variable in scope; its values are converted to it. `None`: not declared, then values are
    /// stored as they come.
    fn variable_type(&self, name: &str) -> Option<TypeDefinition>;

    /// The output of the latest completed run of a node of the same thread; a fault (`has no output`) if it has none.
    fn node_output(&self, name: &str) -> Result<VariableValue, Fault>;

    /// A JSONPath, parsed. A scope that knows the paths of its definition beforehand parses none.
    ///
    /// # Errors
    /// It is no path.
    fn json_path(&self, text: &str) -> Result<Arc<JsonPath>, Fault> {
        Ok(Arc::new(JsonPath::parse(text)?))
    }

    /// The output of the node whose edge is taken: the deprecated right side `node_output` of mutations (section 11.3).
    fn completed_output(&self) -> Result<VariableValue, Fault> {
        Err(Fault::var_sub("The completed node has no output"))
    }
}

/// What the definition of a thread says about the output of one of its nodes (spec 01, section 10.4).
#[derive(Clone, Debug, PartialEq)]
pub enum NodeType {
    /// Has an output of this type.
    Known(TypeDefinition),
    /// May have an output of a type known at run time only; also a TASK or EXTERNAL_EVENT declared void.
    Unknown,
    /// A kind of node that never has an output.
    Never,
    /// There is no such node.
    Missing,
}

/// What the static checks of a thread see.
pub trait TypeScope: StructDefs {
    /// The declared type of a variable of any thread of the WfSpec; `None`: no thread declares it.
    fn variable(&self, name: &str) -> Option<TypeDefinition>;

    /// The output of a node of the same thread.
    fn node_output(&self, name: &str) -> NodeType;
}
