//! Feeds the corpus to the targets, without libFuzzer.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use ironhorse_fuzz_targets::{TARGETS, put_and_run, seed};

#[test]
fn no_input_of_the_corpus_finds_anything() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for target in TARGETS {
        let mut fed = 0;
        for entry in std::fs::read_dir(corpus.join(target.name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let result = std::panic::catch_unwind(|| (target.run)(&bytes));
            assert!(
                result.is_ok(),
                "{} does not survive {}",
                target.name,
                path.display()
            );
            fed += 1;
        }
        assert!(fed > 0, "no corpus for {}", target.name);
    }
}

#[test]
fn most_made_up_wf_specs_are_accepted_and_run() {
    let (mut put, mut accepted) = (0, 0);
    for number in 0..400 {
        let tried = put_and_run(&seed::noise(number, 1500));
        put += tried.put;
        accepted += tried.accepted;
    }
    println!("of {put} WfSpecs {accepted} were accepted");
    assert!(accepted * 10 >= put * 3, "{accepted} of {put}");
}
