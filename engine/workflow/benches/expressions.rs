//! What an expression and a condition cost at run time, on one core: `cargo bench -p ironhorse-workflow --bench
//! expressions`. A JSONPath is parsed when its WfSpec is read, and shows here as parsed beforehand and, to compare, each
//! time.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use ironhorse_workflow::value::path::json::JsonPath;
use ironhorse_workflow::value::{Fault, Scope, StructDefs, condition, evaluate};
use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::variable_assignment::expression::Operation;
use proto::littlehorse::variable_assignment::{Expression, Path, Source};
use proto::littlehorse::variable_value::Value;
use proto::littlehorse::{
    Comparator, InlineStructDef, TypeDefinition, VariableAssignment, VariableMutationType,
    VariableType, VariableValue,
};

struct Thread {
    variables: BTreeMap<&'static str, VariableValue>,
    paths: BTreeMap<String, Arc<JsonPath>>,
}

impl StructDefs for Thread {
    fn struct_def(&self, _: &str, _: i32) -> Option<Arc<InlineStructDef>> {
        None
    }
}

impl Scope for Thread {
    fn variable(&self, name: &str) -> Result<VariableValue, Fault> {
        let found = self.variables.get(name).cloned();
        found.ok_or_else(|| Fault::var_sub("not in scope"))
    }

    fn variable_type(&self, _: &str) -> Option<TypeDefinition> {
        Some(TypeDefinition {
            defined_type: Some(DefinedType::PrimitiveType(VariableType::Int.into())),
            masked: false,
        })
    }

    fn node_output(&self, _: &str) -> Result<VariableValue, Fault> {
        Err(Fault::var_sub("no output"))
    }

    fn json_path(&self, text: &str) -> Result<Arc<JsonPath>, Fault> {
        match self.paths.get(text) {
            Some(path) => Ok(Arc::clone(path)),
            None => Ok(Arc::new(JsonPath::parse(text)?)),
        }
    }
}

fn source(source: Source) -> VariableAssignment {
    VariableAssignment {
        source: Some(source),
        ..VariableAssignment::default()
    }
}

fn var(name: &str) -> VariableAssignment {
    source(Source::VariableName(name.to_owned()))
}

fn literal(value: Value) -> VariableAssignment {
    source(Source::LiteralValue(VariableValue { value: Some(value) }))
}

fn expression(
    lhs: VariableAssignment,
    by: Operation,
    rhs: VariableAssignment,
) -> VariableAssignment {
    source(Source::Expression(Box::new(Expression {
        lhs: Some(Box::new(lhs)),
        rhs: Some(Box::new(rhs)),
        operation: Some(by),
    })))
}

fn main() {
    let json = r#"{"user":{"name":"fred","tags":["a","b"],"age":42},"total":12.5}"#;
    let values = [
        ("i", Value::Int(7)),
        ("s", Value::Str("hello".to_owned())),
        ("o", Value::JsonObj(json.to_owned())),
    ];
    let variables = values.map(|(name, value)| (name, VariableValue { value: Some(value) }));
    let age = "$.user.age";
    let parsed = Arc::new(JsonPath::parse(age).unwrap());
    let thread = Thread {
        variables: variables.into(),
        paths: BTreeMap::from([(age.to_owned(), parsed)]),
    };
    let at = |path: &str| VariableAssignment {
        path: Some(Path::JsonPath(path.to_owned())),
        ..var("o")
    };
    let by = |operation: VariableMutationType| Operation::MutationType(operation.into());
    let less = |lhs, rhs| expression(lhs, Operation::Comparator(Comparator::LessThan.into()), rhs);
    let number = |number| literal(Value::Int(number));
    let sum = expression(var("i"), by(VariableMutationType::Add), number(1));
    let product = expression(sum.clone(), by(VariableMutationType::Multiply), number(3));
    let joined = expression(
        var("s"),
        by(VariableMutationType::Extend),
        literal(Value::Str("!".to_owned())),
    );
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("expressions");
    group.throughput(Throughput::Elements(1));
    for (name, made) in [
        ("(i + 1) * 3", product.clone()),
        ("s extend", joined),
        ("path, parsed beforehand", at(age)),
        ("path, parsed each time", at("$.user['age']")),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| evaluate(black_box(&made), &thread).unwrap());
        });
    }
    for (name, made) in [
        ("i < 10", less(var("i"), number(10))),
        ("(i + 1) * 3 < 10", less(product, number(10))),
        ("path < 50", less(at(age), number(50))),
    ] {
        group.bench_function(format!("condition {name}"), |bencher| {
            bencher.iter(|| condition(black_box(&made), &thread).unwrap());
        });
    }
    group.finish();
    criterion.final_summary();
}
