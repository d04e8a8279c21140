//! What a started thread or child workflow is given (section 10.5, "inputs valid").

use std::collections::BTreeMap;

use proto::littlehorse::{ThreadSpec, VariableAssignment};

use super::super::rule::{Findings, Place, Rule};
use super::super::scope::Scope;
use crate::value::{check_resolves_to, type_of_variable};

pub(super) fn check(
    place: Place<'_>,
    given: &BTreeMap<String, VariableAssignment>,
    (name, thread): (&str, &ThreadSpec),
    scope: &Scope<'_>,
    findings: &mut Findings,
) {
    let declared = |input: &str| {
        let mut defs = thread.variable_defs.iter();
        defs.find_map(|def| def.var_def.as_ref().filter(|def| def.name == input))
    };
    for (input, assignment) in given {
        match declared(input) {
            None => findings.add(
                place,
                &Rule::InputIsDeclared {
                    input: input.clone(),
                    thread: name.to_owned(),
                },
            ),
            Some(def) => {
                let fits = check_resolves_to(assignment, &[type_of_variable(def)], scope);
                if let Err(error) = fits {
                    let field = format!("input {input}");
                    findings.add(place, &Rule::AssignmentFits { field, error });
                }
            }
        }
    }
    for def in thread.variable_defs.iter().filter(|def| def.required) {
        let input = def.var_def.as_ref().map_or("", |def| def.name.as_str());
        if !given.contains_key(input) {
            findings.add(
                place,
                &Rule::RequiredInputIsGiven {
                    input: input.to_owned(),
                    thread: name.to_owned(),
                },
            );
        }
    }
}
