//! Parents, inherited variables, child workflows.

use proto::littlehorse::wf_spec::ParentWfSpecReference;
use proto::littlehorse::{
    RunChildWfNode, VariableAssignment, WaitForChildWfNode, run_child_wf_node,
};

use super::*;
use crate::value::testing::{literal, text, var};
use VariableType::{Int, JsonObj, Str, WfRunId};
use WfRunVariableAccessLevel::{InheritedVar, PublicVar};

fn inheriting(variable: ThreadVarDef, parent: Option<(&str, i32)>) -> WfSpec {
    WfSpec {
        parent_wf_spec: parent.map(|(name, major)| ParentWfSpecReference {
            wf_spec_name: name.to_owned(),
            wf_spec_major_version: major,
        }),
        ..one(vec![with(InheritedVar, variable)], nop())
    }
}

#[test]
fn inherited_variables_are_the_parents() {
    let parent = || {
        let mut parent = one(
            vec![
                with(PublicVar, private("open", Int)),
                private("closed", Int),
                with(PublicVar, private("INPUT", Int)),
            ],
            nop(),
        );
        parent.parent_wf_spec = Some(ParentWfSpecReference::default());
        let further = with(InheritedVar, private("further", Int));
        let main = parent.thread_specs.get_mut("main").unwrap();
        main.variable_defs.push(further);
        parent
    };
    // Revision 0 counts (section 9.7): in revision 1 everything is open.
    let known = Known::default().with_spec("p", 0, 0, parent()).with_spec(
        "p",
        0,
        1,
        one(vec![with(PublicVar, private("closed", Int))], nop()),
    );
    let p = Some(("p", 0));
    // spec 01-35, 02-53
    refused(
        &known,
        vec![
            (
                inheriting(private("open", Int), None),
                &[
                    "Only child workflows are allowed to access INHERITED variables",
                    "open",
                    "main",
                ],
            ),
            (
                inheriting(private("none", Int), p),
                &["INHERITED variable none does not exist in parent WfSpec"],
            ),
            (
                inheriting(private("closed", Int), p),
                &["Inherited variable closed is defined as PRIVATE in parent WfSpec"],
            ),
            (
                inheriting(private("open", Int), Some(("nope", 0))),
                &["Parent WfSpec nope"],
            ),
            (
                inheriting(private("open", Int), Some(("p", 1))),
                &["Parent WfSpec p"],
            ),
            (inheriting(private("open", Str), p), &["open", "STR", "INT"]),
            (
                inheriting(private("INPUT", Int), p),
                &["INPUT does not exist"],
            ),
            (
                inheriting(required(private("open", Int)), p),
                &["open", "INHERITED and required"],
            ),
        ],
    );
    accepted(
        &known,
        vec![
            inheriting(private("open", Int), p),
            inheriting(private("further", Int), p),
        ],
    );
}

fn child(name: &str, major_version: i32, inputs: &[(&str, VariableAssignment)]) -> Kind {
    Kind::RunChildWf(RunChildWfNode {
        wf_spec: Some(run_child_wf_node::WfSpec::WfSpecName(name.to_owned())),
        major_version,
        inputs: inputs
            .iter()
            .map(|(name, input)| ((*name).to_owned(), input.clone()))
            .collect(),
        child_id: None,
    })
}

fn named_by(name: VariableAssignment) -> Kind {
    Kind::RunChildWf(RunChildWfNode {
        wf_spec: Some(run_child_wf_node::WfSpec::WfSpecVar(name)),
        major_version: -1,
        ..RunChildWfNode::default()
    })
}

fn wait(source: &str, id: VariableAssignment) -> Kind {
    Kind::WaitForChildWf(WaitForChildWfNode {
        child_wf_run_id: Some(id),
        child_wf_run_source_node: source.to_owned(),
    })
}

#[test]
fn children_exist_and_take_their_inputs() {
    let of = |variables| one(variables, nop());
    let known = Known::default()
        .with_spec(
            "c",
            0,
            0,
            of(vec![required(private("required-input", Int))]),
        )
        .with_spec(
            "c",
            0,
            1,
            of(vec![
                required(private("required-input", Int)),
                private("more", Int),
            ]),
        );
    let variables = || vec![private("i", Int), private("s", Str), private("w", WfRunId)];
    let given = |input| child("c", 0, &[("required-input", input)]);
    // spec 01-46
    refused(
        &known,
        vec![
            (
                one(vec![], child("nope", 0, &[])),
                &["could not find wfspec nope"],
            ),
            (
                one(vec![], child("nope", -1, &[])),
                &["could not find wfspec nope"],
            ),
            (
                one(vec![], child("c", 1, &[])),
                &["could not find wfspec c"],
            ),
            (
                one(vec![], child("c", 0, &[])),
                &["Node 1", "required-input"],
            ),
            (
                one(variables(), given(var("s"))),
                &["input required-input", "can't resolve to INT"],
            ),
            (
                one(
                    variables(),
                    child("c", 0, &[("required-input", var("i")), ("x", var("i"))]),
                ),
                &["input x is not declared"],
            ),
            (
                one(vec![private("j", JsonObj)], named_by(var("j"))),
                &["can't resolve to STR"],
            ),
            (
                one(vec![], Kind::RunChildWf(RunChildWfNode::default())),
                &["names no WfSpec"],
            ),
            (
                spec([(
                    "main",
                    thread(variables(), vec![nop(), wait("1", var("w"))]),
                )]),
                &["Node 2", "child_wf_run_source_node 1 is not a RUN_CHILD_WF"],
            ),
            (
                spec([(
                    "main",
                    thread(variables(), vec![nop(), wait("x", var("w"))]),
                )]),
                &["Node 2", "child_wf_run_source_node x is not a node"],
            ),
            (
                spec([(
                    "main",
                    thread(variables(), vec![given(var("i")), wait("1", var("s"))]),
                )]),
                &["Node 2", "can't resolve to WF_RUN_ID"],
            ),
        ],
    );
    accepted(
        &known,
        vec![
            one(variables(), given(var("i"))),
            // The latest revision of the major version counts.
            one(
                variables(),
                child("c", 0, &[("required-input", var("i")), ("more", var("i"))]),
            ),
            one(variables(), named_by(var("s"))),
            one(variables(), named_by(literal(text("later")))),
            spec([(
                "main",
                thread(variables(), vec![given(var("i")), wait("1", var("w"))]),
            )]),
        ],
    );
}

#[test]
fn the_latest_major_version_is_pinned() {
    let of = || one(vec![], nop());
    let stored = |known: &Known, kind| {
        let made = checked(one(vec![private("s", Str)], kind), known).unwrap();
        match made.thread_specs["main"].nodes["1"].node.clone() {
            Some(Kind::RunChildWf(node)) => node.major_version,
            other => panic!("{other:?}"),
        }
    };
    let known = Known::default().with_spec("c", 0, 0, of());
    // spec 01-50 (what is stored; which revision runs is issue 6)
    assert_eq!(stored(&known, child("c", -1, &[])), 0);
    let known = known.with_spec("c", 0, 1, of()).with_spec("c", 1, 0, of());
    assert_eq!(stored(&known, child("c", -1, &[])), 1);
    assert_eq!(stored(&known, child("c", 0, &[])), 0);
    assert_eq!(stored(&known, named_by(var("s"))), -1);
}
