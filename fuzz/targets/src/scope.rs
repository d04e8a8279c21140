//! A thread that expressions run in: a variable of each kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost_types::Timestamp;
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    Array, InlineArrayDef, InlineMapDef, InlineStructDef, Map, StructDefId, StructFieldDef,
    TypeDefinition, VariableType, VariableValue, WfRunId, map,
};
use workflow::value::{Fault, NodeType, Scope, StructDefs, TypeScope};

/// Names of variables and nodes, types and values.
pub(crate) struct Thread {
    variables: BTreeMap<&'static str, (TypeDefinition, VariableValue)>,
    point: Arc<InlineStructDef>,
}

fn value(value: Value) -> VariableValue {
    VariableValue { value: Some(value) }
}

fn defined(kind: DefinedType) -> TypeDefinition {
    TypeDefinition {
        defined_type: Some(kind),
        masked: false,
    }
}

pub(crate) fn primitive(kind: VariableType) -> TypeDefinition {
    defined(DefinedType::PrimitiveType(kind.into()))
}

impl Thread {
    pub(crate) fn new() -> Thread {
        let json = r#"{"a":[1,2.5,{"b":"c"}],"d":null,"e e":true}"#;
        let int = || primitive(VariableType::Int);
        let text = || primitive(VariableType::Str);
        let list = defined(DefinedType::InlineArrayDef(Box::new(InlineArrayDef {
            array_type: Some(Box::new(int())),
        })));
        let types = InlineMapDef {
            key_type: Some(Box::new(text())),
            value_type: Some(Box::new(int())),
        };
        let dict = defined(DefinedType::InlineMapDef(Box::new(types.clone())));
        let items = vec![value(Value::Int(1)), value(Value::Int(2))];
        let entry = map::Entry {
            key: Some(value(Value::Str("k".to_owned()))),
            value: Some(value(Value::Int(3))),
        };
        let field = StructFieldDef {
            field_type: Some(int()),
            ..StructFieldDef::default()
        };
        let variables = [
            ("i", int(), Value::Int(7)),
            ("d", primitive(VariableType::Double), Value::Double(-0.5)),
            ("b", primitive(VariableType::Bool), Value::Bool(true)),
            ("s", text(), Value::Str("1".to_owned())),
            (
                "o",
                primitive(VariableType::JsonObj),
                Value::JsonObj(json.to_owned()),
            ),
            (
                "a",
                primitive(VariableType::JsonArr),
                Value::JsonArr("[[],{},3]".to_owned()),
            ),
            (
                "y",
                primitive(VariableType::Bytes),
                Value::Bytes(vec![0, 255].into()),
            ),
            (
                "w",
                primitive(VariableType::WfRunId),
                Value::WfRunId(WfRunId::root("p").child("c")),
            ),
            (
                "t",
                primitive(VariableType::Timestamp),
                Value::UtcTimestamp(Timestamp {
                    seconds: 1_700_000_000,
                    nanos: 5_000_000,
                }),
            ),
            (
                "l",
                list,
                Value::Array(Array {
                    items,
                    element_type: Some(int()),
                }),
            ),
            (
                "m",
                dict,
                Value::Map(Map {
                    entries: vec![entry],
                    map_type: Some(types),
                }),
            ),
        ];
        let mut variables: BTreeMap<_, _> = variables
            .into_iter()
            .map(|(name, kind, content)| (name, (kind, value(content))))
            .collect();
        let null = VariableValue { value: None };
        variables.insert("n", (int(), null.clone()));
        let id = StructDefId {
            name: "point".to_owned(),
            version: 0,
        };
        variables.insert("p", (defined(DefinedType::StructDefId(id)), null));
        Thread {
            variables,
            point: Arc::new(InlineStructDef {
                fields: BTreeMap::from([("x".to_owned(), field)]),
            }),
        }
    }
}

impl Thread {
    /// Types and values of its variables.
    pub(crate) fn content(&self) -> impl Iterator<Item = &(TypeDefinition, VariableValue)> {
        self.variables.values()
    }
}

impl StructDefs for Thread {
    fn struct_def(&self, name: &str, version: i32) -> Option<Arc<InlineStructDef>> {
        (name == "point" && version <= 0).then(|| Arc::clone(&self.point))
    }

    fn latest_version(&self, name: &str) -> Option<i32> {
        (name == "point").then_some(0)
    }
}

impl Scope for Thread {
    fn variable(&self, name: &str) -> Result<VariableValue, Fault> {
        let found = self.variables.get(name).map(|(_, value)| value.clone());
        found.ok_or_else(|| Fault::var_sub("not in scope"))
    }

    fn variable_type(&self, name: &str) -> Option<TypeDefinition> {
        Some(self.variables.get(name)?.0.clone())
    }

    fn node_output(&self, name: &str) -> Result<VariableValue, Fault> {
        Scope::variable(self, name)
    }

    fn completed_output(&self) -> Result<VariableValue, Fault> {
        Scope::variable(self, "o")
    }
}

impl TypeScope for Thread {
    fn variable(&self, name: &str) -> Option<TypeDefinition> {
        self.variable_type(name)
    }

    fn node_output(&self, name: &str) -> NodeType {
        match name {
            "never" => NodeType::Never,
            "unknown" => NodeType::Unknown,
            _ => self
                .variable_type(name)
                .map_or(NodeType::Missing, NodeType::Known),
        }
    }
}
