//! Compiles every `.proto` file of the public API (`littlehorse/`) and of the internal one (`ironhorse/`), without protoc.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use protox::prost_reflect::prost_types::{
    DescriptorProto, FileDescriptorSet, MethodDescriptorProto,
};

/// Directories below this crate that hold `.proto` files. One without any adds nothing.
const SOURCES: [&str; 2] = ["littlehorse", "ironhorse"];

/// The file whose messages also get an order, so that they can be keys of a `BTreeMap`.
const ORDERED: &str = "littlehorse/id.proto";
const PACKAGE: &str = ".littlehorse";

/// The one recursive id. For it, and for what holds it, prost does not derive `Eq` and `Hash` by itself.
const RUN: &str = "WfRunId";

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut files = Vec::new();
    for source in SOURCES {
        // Cargo looks into a directory that it is told of, so this covers new files and changed ones.
        println!("cargo:rerun-if-changed={source}");
        collect(&root.join(source), &mut files)?;
    }
    // The order of directory entries is up to the file system; the generated code shall not depend on it.
    files.sort();

    let mut compiler = protox::Compiler::new([&root])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(&files)?;
    let descriptors = compiler.file_descriptor_set();

    // Reflection needs no comments, and without them the embedded set has half the size.
    compiler.include_source_info(false);
    fs::write(
        out.join("descriptors.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    fs::write(out.join("methods.rs"), methods(&descriptors))?;

    let mut builder = tonic_prost_build::configure()
        // Hash maps would encode in random order, and processing must be deterministic.
        .btree_map(".")
        .bytes(".")
        // What a server does not build answers UNIMPLEMENTED.
        .generate_default_stubs(true)
        // Twice as large as any other node type.
        .boxed(".littlehorse.Node.node.user_task")
        .include_file("api.rs");
    for id in descriptors
        .file
        .iter()
        .filter(|file| file.name() == ORDERED)
        .flat_map(|file| &file.message_type)
    {
        let derive = if holds_run(id, &descriptors) {
            "#[derive(Eq, Hash, PartialOrd, Ord)]"
        } else {
            "#[derive(PartialOrd, Ord)]"
        };
        builder = builder.type_attribute(format!("{PACKAGE}.{}", id.name()), derive);
    }
    builder.compile_fds(descriptors)?;
    Ok(())
}

/// Adds every `.proto` file below `dir` to `files`.
fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ext| ext == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether an id is, or has as a part of any depth, the id of a run.
fn holds_run(id: &DescriptorProto, descriptors: &FileDescriptorSet) -> bool {
    let is_part = |part: &&DescriptorProto| {
        let name = format!("{PACKAGE}.{}", part.name());
        part.name() != id.name() && id.field.iter().any(|field| field.type_name() == name)
    };
    id.name() == RUN
        || descriptors
            .file
            .iter()
            .filter(|file| file.name() == ORDERED)
            .flat_map(|file| &file.message_type)
            .filter(is_part)
            .any(|part| holds_run(part, descriptors))
}

/// The names of all methods of the public service, sorted, as a Rust array.
fn methods(descriptors: &FileDescriptorSet) -> String {
    let mut names: Vec<&str> = descriptors
        .file
        .iter()
        .filter(|file| file.package() == "littlehorse")
        .flat_map(|file| &file.service)
        .flat_map(|service| &service.method)
        .map(MethodDescriptorProto::name)
        .collect();
    names.sort_unstable();
    format!("{names:#?}")
}
