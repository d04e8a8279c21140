//! StructDefs and their evolution.

use std::collections::BTreeMap;

use proto::littlehorse::type_definition::DefinedType;
use proto::littlehorse::{
    DeleteStructDefRequest, PutStructDefRequest, SearchStructDefRequest,
    StructDefCompatibilityType, TypeDefinition, ValidateStructDefEvolutionRequest, VariableDef,
    VariableType, VariableValue, search_struct_def_request,
};
use tonic::Code;

use super::*;
use crate::support::*;
use StructDefCompatibilityType::{FullyCompatibleSchemaUpdates as Full, NoSchemaUpdates as No};
use VariableType::{Bool, Int, JsonArr, JsonObj, Str};

#[tokio::test]
async fn a_struct_def_evolves_by_versions() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let car = [("model", plain(Str)), ("isSold", nullable(plain(Bool)))];
    let first = made(client, put("car", &car, No)).await;
    assert_eq!(version(&first), 0);
    // spec 01-14
    let described = PutStructDefRequest {
        description: Some("a car".to_owned()),
        ..put("car", &car, No)
    };
    assert_eq!(version(&made(client, described.clone()).await), 1);
    let unchanged = client.get_struct_def(struct_id("car", 0)).await.unwrap();
    assert_eq!(unchanged.into_inner(), first);
    let empty = |name| PutStructDefRequest {
        description: Some(String::new()),
        ..put(name, &car, No)
    };
    made(client, put("other", &car, No)).await;
    assert_eq!(version(&made(client, empty("other")).await), 0);
    // spec 01-15
    let with_year = [("year", plain(Int)), car[0].clone(), car[1].clone()];
    let refusal = |fields: &str, kind: &str| {
        format!(
            "Incompatible StructDef evolution on field(s): [{fields}] using {kind} compatibility type"
        )
    };
    for (fields, named) in [
        (&with_year[..], "year"),
        (&car[..1], "isSold"),
        (
            &[
                ("model", plain(Int)),
                ("isSold", plain(Bool)),
                with_year[0].clone(),
            ][..],
            "year, isSold, model",
        ),
    ] {
        let status = client
            .put_struct_def(put("other", fields, No))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), refusal(named, "NO_SCHEMA_UPDATES"));
    }
    // spec 01-16
    let with_wheels = [
        car[0].clone(),
        car[1].clone(),
        ("wheels", defaulting(Int, int(4))),
    ];
    let evolved = made(client, put("other", &with_wheels, Full)).await;
    assert_eq!(version(&evolved), 1);
    for (fields, named) in [
        (
            [
                with_wheels[0].clone(),
                with_wheels[1].clone(),
                ("year", plain(Int)),
            ],
            "year",
        ),
        (
            [
                with_wheels[1].clone(),
                with_wheels[2].clone(),
                with_wheels[2].clone(),
            ],
            "model",
        ),
        (
            [
                ("model", plain(Int)),
                with_wheels[1].clone(),
                with_wheels[2].clone(),
            ],
            "model",
        ),
        (
            [
                ("model", nullable(plain(Str))),
                with_wheels[1].clone(),
                with_wheels[2].clone(),
            ],
            "model",
        ),
        (
            [
                with_wheels[0].clone(),
                ("isSold", nullable(plain(Int))),
                with_wheels[2].clone(),
            ],
            "isSold",
        ),
    ] {
        let answer = client.put_struct_def(put("other", &fields, Full)).await;
        let words = [&refusal(named, "FULLY_COMPATIBLE_SCHEMA_UPDATES")[..]];
        refused(answer, Code::InvalidArgument, &words);
    }
    // An optional field may go.
    let fewer = [with_wheels[0].clone(), with_wheels[2].clone()];
    assert_eq!(version(&made(client, put("other", &fewer, Full)).await), 2);
    // spec 01-20
    let get = |version| struct_id("other", version);
    let latest = client.get_struct_def(get(-1)).await.unwrap().into_inner();
    assert_eq!(version(&latest), 2);
    let unset = client.get_struct_def(get(0)).await.unwrap().into_inner();
    assert_eq!(version(&unset), 0);
    for missing in [
        struct_id("other", 3),
        struct_id("other", -2),
        struct_id("nope", -1),
    ] {
        refused(client.get_struct_def(missing).await, Code::NotFound, &[]);
    }
    server.restart().await;
    let client = &mut server.client;
    let latest = client.get_struct_def(get(-1)).await.unwrap().into_inner();
    assert_eq!(version(&latest), 2);
    // By name exactly, by prefix, page by page.
    type By = search_struct_def_request::StructDefCriteria;
    let all = [
        struct_id("car", 0),
        struct_id("car", 1),
        struct_id("other", 0),
        struct_id("other", 1),
        struct_id("other", 2),
    ];
    for (by, expected) in [
        (None, &all[..]),
        (Some(By::Name("car".to_owned())), &all[..2]),
        (Some(By::Name("ca".to_owned())), &[]),
        (Some(By::Prefix("o".to_owned())), &all[2..]),
    ] {
        let request = SearchStructDefRequest {
            struct_def_criteria: by,
            ..SearchStructDefRequest::default()
        };
        let found = client
            .search_struct_def(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(found.results, expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_schema_of_a_struct_def_makes_sense() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    // spec 01-17
    for (name, words) in [
        ("brand_name", "cannot include underscores"),
        ("8D", "first character must be a letter"),
        ("", "first character must be a letter"),
        ("BrandName", "first letter must be lowercase"),
        ("brandName$", "cannot include special characters"),
    ] {
        let answer = client
            .put_struct_def(put("s", &[(name, plain(Str))], No))
            .await;
        refused(answer, Code::InvalidArgument, &[words]);
    }
    made(client, put("s", &[("brandName9734", plain(Str))], No)).await;
    // spec 01-18
    let array = |element| TypeDefinition {
        defined_type: Some(DefinedType::InlineArrayDef(Box::new(
            proto::littlehorse::InlineArrayDef {
                array_type: Some(Box::new(element)),
            },
        ))),
        ..TypeDefinition::default()
    };
    for (field, words) in [
        (plain(JsonObj), "Forbidden JSON type: JSON_OBJ"),
        (
            field(TypeDefinition::default()),
            "Forbidden JSON type: JSON_OBJ",
        ),
        (
            field(array(type_of(JsonObj))),
            "Forbidden JSON type: JSON_OBJ",
        ),
        (plain(JsonArr), "Forbidden JSON type: JSON_ARR"),
        (
            defaulting(Int, VariableValue::default()),
            "null default value",
        ),
        (defaulting(Int, text("x")), "INT"),
        (
            field(struct_type("nope", -1)),
            "Refers to non-existent StructDef nope",
        ),
    ] {
        let answer = client.put_struct_def(put("t", &[("x", field)], No)).await;
        refused(answer, Code::InvalidArgument, &["x", words]);
    }
    server.stop().await;
}

#[tokio::test]
async fn structs_may_go_round_in_circles() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    let holding = |name| [("other", nullable(field(struct_type(name, 0))))];
    made(client, put("a", &[], No)).await;
    made(client, put("b", &holding("a"), No)).await;
    let gone = DeleteStructDefRequest {
        id: Some(struct_id("a", 0)),
    };
    client.delete_struct_def(gone).await.unwrap();
    made(client, put("a", &holding("b"), No)).await;
    let var = VariableDef {
        type_def: Some(struct_type("a", -1)),
        ..var_def("x", Str)
    };
    client
        .define(sequence("w", vec![optional(var)], vec![]))
        .await;
    // As deep as a request can be.
    let mut value = VariableValue::default();
    for depth in 0..12 {
        let inner = proto::littlehorse::StructField {
            value: Some(value),
            masked: false,
        };
        let name = if depth % 2 == 0 { "b" } else { "a" };
        value = support_struct(name, BTreeMap::from([("other".to_owned(), inner)]));
    }
    let run = client.run_with("w", "deep", &[("x", value)]).await;
    assert_eq!(run.status(), proto::littlehorse::LhStatus::Completed);
    server.stop().await;
}

fn support_struct(
    name: &str,
    fields: BTreeMap<String, proto::littlehorse::StructField>,
) -> VariableValue {
    value(proto::littlehorse::variable_value::Value::Struct(
        proto::littlehorse::Struct {
            struct_def_id: Some(struct_id(name, -1)),
            r#struct: Some(proto::littlehorse::InlineStruct { fields }),
        },
    ))
}

#[tokio::test]
async fn evolution_is_judged_without_a_trace() {
    let mut server = Fixture::start().await;
    let client = &mut server.client;
    made(
        client,
        put("car", &[("model", plain(Str)), ("year", plain(Int))], No),
    )
    .await;
    // spec 01-19
    for (name, fields, kind, expected) in [
        ("nope", &[("x", plain(Int))][..], No, true),
        (
            "car",
            &[
                ("model", plain(Str)),
                ("year", plain(Int)),
                ("x", plain(Int)),
            ],
            Full,
            false,
        ),
        (
            "car",
            &[
                ("model", plain(Str)),
                ("year", plain(Int)),
                ("x", defaulting(Int, int(1))),
            ],
            Full,
            true,
        ),
        // What a worker's class merely lacks.
        ("car", &[("model", plain(Str))], No, true),
        ("car", &[("model", plain(Int))], No, false),
    ] {
        let request = ValidateStructDefEvolutionRequest {
            struct_def_id: Some(struct_id(name, 0)),
            struct_def: Some(schema(fields)),
            compatibility_type: kind.into(),
        };
        let answer = client.validate_struct_def_evolution(request).await.unwrap();
        assert_eq!(answer.into_inner().is_valid, expected, "{name} {fields:?}");
    }
    let request = ValidateStructDefEvolutionRequest {
        struct_def_id: Some(struct_id("nope", 0)),
        struct_def: Some(schema(&[("bad_name", plain(Int))])),
        ..ValidateStructDefEvolutionRequest::default()
    };
    let answer = client.validate_struct_def_evolution(request).await;
    refused(answer, Code::InvalidArgument, &["bad_name"]);
    let found = client
        .search_struct_def(SearchStructDefRequest::default())
        .await
        .unwrap();
    assert_eq!(
        found.into_inner().results,
        [struct_id("car", 0)],
        "no version was made"
    );
    server.stop().await;
}
