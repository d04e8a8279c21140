//! Requests made of bytes: a valid one, with some of its fields set, cleared or replaced, as the API's descriptors allow.

use std::sync::OnceLock;

use bytes::Bytes;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage, Value,
};

use crate::{Input, templates};

/// Texts that mean something in a request.
const TEXTS: [&str; 24] = [
    "",
    "run",
    "spec",
    "task",
    "event",
    "main",
    "x",
    "o",
    "entry",
    "nop",
    "sleep",
    "exit",
    "0-1",
    "guid",
    "default",
    "other",
    "run_child",
    "$.a",
    "$..b[?(@ > 1)]",
    "{0} and {1}",
    "a\0b",
    "é/💥",
    "-1",
    "999999999999999999999",
];
const NUMBERS: [i64; 20] = [
    0,
    1,
    2,
    3,
    5,
    10,
    60,
    1000,
    -1,
    -2,
    127,
    65_536,
    i32::MAX as i64,
    i32::MIN as i64,
    i64::MAX,
    i64::MIN,
    253_402_300_800,
    -62_135_596_801,
    1_700_000_000,
    u32::MAX as i64,
];
const DOUBLES: [f64; 8] = [
    0.0,
    -0.0,
    1.5,
    -1.0,
    f64::NAN,
    f64::INFINITY,
    f64::MIN_POSITIVE,
    1e300,
];
/// How deep a made message may be.
const DEPTH: usize = 12;
/// Elements of a made list or map.
const ELEMENTS: usize = 3;

/// The requests that are changed.
pub(crate) struct Templates {
    metadata: Vec<DynamicMessage>,
    core: Vec<DynamicMessage>,
    report: DynamicMessage,
}

impl Templates {
    /// Read once.
    pub(crate) fn get() -> &'static Templates {
        static TEMPLATES: OnceLock<Templates> = OnceLock::new();
        TEMPLATES.get_or_init(Templates::read)
    }

    fn read() -> Templates {
        let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).expect("our own descriptors");
        let message = |name: &str| pool.get_message_by_name(name).expect("our own message");
        let decode = |name: &str, bytes: Bytes| {
            DynamicMessage::decode(message(name), bytes).expect("our own template")
        };
        let metadata = templates::definitions()
            .into_iter()
            .chain(templates::more_definitions())
            .map(|bytes| decode("ironhorse.v1.MetadataCommand", bytes));
        let core = templates::core_commands()
            .into_iter()
            .map(|bytes| decode("ironhorse.v1.CoreCommand", bytes));
        Templates {
            metadata: metadata.collect(),
            core: core.collect(),
            report: DynamicMessage::new(message("littlehorse.ReportTaskRun")),
        }
    }

    pub(crate) fn metadata(&self, input: &mut Input<'_>) -> Bytes {
        command(&self.metadata[input.below(self.metadata.len())], input)
    }

    pub(crate) fn core(&self, input: &mut Input<'_>) -> Bytes {
        command(&self.core[input.below(self.core.len())], input)
    }

    pub(crate) fn report(&self, input: &mut Input<'_>) -> Bytes {
        let mut report = self.report.clone();
        for _ in 0..input.below(4) {
            change(&mut report, input, 0);
        }
        Bytes::from(report.encode_to_vec())
    }
}

/// A command whose request is changed in up to seven places. Who asks, and which command it is, stays.
fn command(template: &DynamicMessage, input: &mut Input<'_>) -> Bytes {
    let mut command = template.clone();
    let content = command
        .fields()
        .map(|(field, _)| field)
        .find(|field| field.containing_oneof().is_some());
    if let Some(content) = content
        && let Value::Message(envelope) = command.get_field_mut(&content)
    {
        let request = envelope
            .descriptor()
            .get_field_by_name("request")
            .filter(|field| matches!(field.kind(), Kind::Message(_)));
        for _ in 0..input.below(8) {
            match &request {
                // What stands beside the request is made by the server.
                Some(request) => {
                    if let Value::Message(request) = envelope.get_field_mut(request) {
                        change(request, input, 0);
                    }
                }
                None => change(envelope, input, 0),
            }
        }
    }
    Bytes::from(command.encode_to_vec())
}

/// Changes one field, of this message or of one inside.
pub(crate) fn change(message: &mut DynamicMessage, input: &mut Input<'_>, depth: usize) {
    let set: Vec<FieldDescriptor> = message.fields().map(|(field, _)| field).collect();
    let descend = depth < DEPTH && !set.is_empty() && !input.one_in(4);
    if descend {
        let field = &set[input.below(set.len())];
        match message.get_field_mut(field) {
            Value::Message(inner) => return change(inner, input, depth + 1),
            Value::List(list) if !list.is_empty() => {
                let at = input.below(list.len());
                match &mut list[at] {
                    Value::Message(inner) if !input.one_in(8) => {
                        return change(inner, input, depth + 1);
                    }
                    _ if input.one_in(2) => drop(list.remove(at)),
                    other => {
                        let copy = other.clone();
                        list.push(copy);
                    }
                }
                return;
            }
            Value::Map(map) if !map.is_empty() => {
                let at = input.below(map.len());
                let mut keys: Vec<MapKey> = map.keys().cloned().collect();
                keys.sort_by_key(|key| format!("{key:?}"));
                match map.get_mut(&keys[at]) {
                    Some(Value::Message(inner)) if !input.one_in(8) => {
                        return change(inner, input, depth + 1);
                    }
                    _ => drop(map.remove(&keys[at])),
                }
                return;
            }
            _ => {}
        }
    }
    let fields: Vec<FieldDescriptor> = message.descriptor().fields().collect();
    if fields.is_empty() {
        return;
    }
    let field = &fields[input.below(fields.len())];
    if input.one_in(4) {
        message.clear_field(field);
    } else {
        let value = made(field, input, depth + 1);
        message.set_field(field, value);
    }
}

fn message(descriptor: MessageDescriptor, input: &mut Input<'_>, depth: usize) -> DynamicMessage {
    let fields: Vec<FieldDescriptor> = descriptor.fields().collect();
    let mut message = DynamicMessage::new(descriptor);
    if depth < DEPTH && !fields.is_empty() {
        for _ in 0..input.below(4) {
            let field = &fields[input.below(fields.len())];
            let value = made(field, input, depth + 1);
            message.set_field(field, value);
        }
    }
    message
}

fn made(field: &FieldDescriptor, input: &mut Input<'_>, depth: usize) -> Value {
    if field.is_map()
        && let Kind::Message(entry) = field.kind()
    {
        let value = entry.map_entry_value_field();
        let elements = (0..input.below(ELEMENTS + 1)).map(|_| {
            let key = match entry.map_entry_key_field().kind() {
                Kind::String => MapKey::String(text(input)),
                Kind::Int32 => MapKey::I32(number(input) as i32),
                Kind::Int64 => MapKey::I64(number(input)),
                _ => MapKey::Bool(input.one_in(2)),
            };
            (key, scalar(value.kind(), input, depth))
        });
        return Value::Map(elements.collect());
    }
    if field.is_list() {
        let elements = (0..input.below(ELEMENTS + 1)).map(|_| scalar(field.kind(), input, depth));
        return Value::List(elements.collect());
    }
    scalar(field.kind(), input, depth)
}

fn text(input: &mut Input<'_>) -> String {
    match input.below(TEXTS.len() + 2) {
        own if own >= TEXTS.len() => {
            let len = input.below(40);
            String::from_utf8_lossy(input.take(len)).into_owned()
        }
        known => TEXTS[known].to_owned(),
    }
}

fn number(input: &mut Input<'_>) -> i64 {
    match input.below(NUMBERS.len() + 2) {
        own if own >= NUMBERS.len() => input.i64(),
        known => NUMBERS[known],
    }
}

fn double(input: &mut Input<'_>) -> f64 {
    match input.below(DOUBLES.len() + 1) {
        own if own >= DOUBLES.len() => f64::from_bits(input.i64() as u64),
        known => DOUBLES[known],
    }
}

fn scalar(kind: Kind, input: &mut Input<'_>, depth: usize) -> Value {
    match kind {
        Kind::Message(descriptor) => Value::Message(message(descriptor, input, depth)),
        Kind::String => Value::String(text(input)),
        Kind::Bytes => Value::Bytes(Bytes::from(text(input))),
        Kind::Bool => Value::Bool(input.one_in(2)),
        Kind::Double => Value::F64(double(input)),
        Kind::Float => Value::F32(double(input) as f32),
        Kind::Enum(kind) => {
            let values: Vec<i32> = kind.values().map(|value| value.number()).collect();
            let at = input.below(values.len() + 1);
            Value::EnumNumber(values.get(at).copied().unwrap_or(4711))
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number(input) as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number(input)),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number(input) as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number(input) as u64),
    }
}
