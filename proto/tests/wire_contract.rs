//! The `.proto` files against the contract: the tables in `wire/`, compared in both directions.
//!
//! Both sides are written as the rows of the tables (without their first column, a file name, which has no meaning on
//! the wire). The two sets of rows must be equal: what is missing breaks a client, what is too much is no part of the API.

#![allow(clippy::unwrap_used)]

use ironhorse_proto::{FILE_DESCRIPTOR_SET, METHODS};
use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Syntax,
};
use std::collections::BTreeSet;
use std::fmt::Write;

const PACKAGE: &str = "littlehorse";

/// Differences shown when a comparison fails.
const SHOWN: usize = 20;

type Rows = BTreeSet<String>;

fn pool() -> DescriptorPool {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap()
}

/// The rows of a table below its header, each without its first column.
fn table(text: &str, header: &str) -> Rows {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(header));
    let rows: Vec<_> = lines
        .map(|line| line.split_once('\t').unwrap().1.to_owned())
        .collect();
    let set: Rows = rows.iter().cloned().collect();
    assert_eq!(set.len(), rows.len(), "the table repeats a row");
    set
}

fn assert_same(contract: &Rows, ours: &Rows) {
    let mut report = String::new();
    for (what, rows) in [
        ("only in the contract", contract.difference(ours)),
        ("only in the .proto files", ours.difference(contract)),
    ] {
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            writeln!(report, "{} rows are {what}:", rows.len()).unwrap();
            for row in rows.iter().take(SHOWN) {
                writeln!(report, "  {}", row.replace('\t', " | ")).unwrap();
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

fn messages(pool: &DescriptorPool) -> impl Iterator<Item = MessageDescriptor> + '_ {
    pool.all_messages()
        .filter(|message| message.package_name() == PACKAGE && !message.is_map_entry())
}

fn enums(pool: &DescriptorPool) -> impl Iterator<Item = EnumDescriptor> + '_ {
    pool.all_enums()
        .filter(|description| description.package_name() == PACKAGE)
}

fn deprecated(flag: Option<bool>) -> &'static str {
    if flag == Some(true) { "deprecated" } else { "" }
}

fn type_name(field: &FieldDescriptor) -> String {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else {
            unreachable!("a map is a message");
        };
        let key = type_name(&entry.map_entry_key_field());
        return format!("map<{key},{}>", type_name(&entry.map_entry_value_field()));
    }
    match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(description) => format!("enum {}", description.full_name()),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

fn label(field: &FieldDescriptor) -> &'static str {
    if field.is_map() {
        "map"
    } else if field.cardinality() == Cardinality::Repeated {
        "repeated"
    } else if field.field_descriptor_proto().proto3_optional() {
        "optional"
    } else {
        "single"
    }
}

fn field_row(message: &MessageDescriptor, field: &FieldDescriptor) -> String {
    let oneof = field
        .containing_oneof()
        .filter(|oneof| !oneof.is_synthetic());
    let options = field.field_descriptor_proto().options.as_ref();
    [
        message.full_name(),
        field.name(),
        &field.number().to_string(),
        &type_name(field),
        label(field),
        oneof.as_ref().map_or("", |oneof| oneof.name()),
        deprecated(options.and_then(|options| options.deprecated)),
    ]
    .join("\t")
}

#[test]
fn rpcs() {
    let contract = table(
        include_str!("../wire/rpcs.tsv"),
        "service\trpc\trequest\tresponse\tclient\tserver",
    );
    assert_eq!(contract.len(), 108);

    let pool = pool();
    let mut ours = Rows::new();
    let mut names = Vec::new();
    let services: Vec<_> = pool
        .services()
        .filter(|service| service.package_name() == PACKAGE)
        .collect();
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].full_name(), "littlehorse.LittleHorse");
    for method in services[0].methods() {
        let mode = |stream| if stream { "stream" } else { "unary" };
        let (input, output) = (method.input(), method.output());
        let row = [
            method.name(),
            input.full_name(),
            output.full_name(),
            mode(method.is_client_streaming()),
            mode(method.is_server_streaming()),
        ];
        ours.insert(row.join("\t"));
        names.push(method.name().to_owned());
    }
    assert_same(&contract, &ours);

    names.sort_unstable();
    assert_eq!(METHODS, names);
}

#[test]
fn messages_and_fields() {
    let contract = table(
        include_str!("../wire/fields.tsv"),
        "file\tmessage\tfield\tnumber\ttype\tlabel\toneof\tdeprecated",
    );
    let pool = pool();
    let mut ours = Rows::new();
    for message in messages(&pool) {
        // A message without fields has a row of its own.
        if message.fields().len() == 0 {
            ours.insert(format!("{}\t\t\t\t\t\t", message.full_name()));
        }
        ours.extend(message.fields().map(|field| field_row(&message, &field)));
    }
    assert_same(&contract, &ours);
}

#[test]
fn enum_values() {
    let contract = table(
        include_str!("../wire/enums.tsv"),
        "file\tenum\tvalue\tnumber\tdeprecated",
    );
    let pool = pool();
    let mut ours = Rows::new();
    for description in enums(&pool) {
        for value in description.values() {
            let options = value.enum_value_descriptor_proto().options.as_ref();
            let row = [
                description.full_name(),
                value.name(),
                &value.number().to_string(),
                deprecated(options.and_then(|options| options.deprecated)),
            ];
            ours.insert(row.join("\t"));
        }
    }
    assert_same(&contract, &ours);
}

/// What the tables do not say: the syntax, and that the names in JSON are those that follow from the field names.
#[test]
fn syntax_and_json_names() {
    let pool = pool();
    for file in pool.files().filter(|file| file.package_name() == PACKAGE) {
        assert_eq!(file.syntax(), Syntax::Proto3, "{}", file.name());
    }
    for field in messages(&pool).flat_map(|message| message.fields().collect::<Vec<_>>()) {
        let mut json = String::new();
        let mut after_underscore = false;
        for letter in field.name().chars() {
            match letter {
                '_' => after_underscore = true,
                letter if after_underscore => {
                    json.push(letter.to_ascii_uppercase());
                    after_underscore = false;
                }
                letter => json.push(letter),
            }
        }
        assert_eq!(field.json_name(), json, "{}", field.full_name());
    }
}

/// Repeated numbers and enums are packed, as every proto3 client writes them.
#[test]
fn numbers_are_packed() {
    let pool = pool();
    let mut seen = 0;
    for field in messages(&pool).flat_map(|message| message.fields().collect::<Vec<_>>()) {
        let text_or_message = matches!(field.kind(), Kind::Message(_) | Kind::String | Kind::Bytes);
        if field.is_list() && !text_or_message {
            assert!(field.is_packed(), "{}", field.full_name());
            seen += 1;
        }
    }
    assert!(seen > 0);
}
