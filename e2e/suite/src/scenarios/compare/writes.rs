//! Writes that both servers get: what they are, and how they are drawn.
//!
//! A write names no version, uid or old value of a server. It says "the current one" or "another one", and each server fills
//! in its own: so a list stays playable when writes are left out of it.

use super::kinds::{Field, Sort};
use crate::dice::Dice;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate::core::plan::Manager;

/// One write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Write {
    /// As `tidegate`, into a place that may be taken.
    Create { object: Value },
    /// Server-side apply. `uid` is a precondition.
    Apply { object: Value, by: Applier, force: bool, uid: Option<Which> },
    /// As `tidegate`: a JSON patch of one field that tests uid and old value; `to` nothing removes the field.
    Edit { at: Vec<String>, uid: Which, old: Which, to: Option<Value> },
    /// A merge patch as people's tools make it, with a version or without.
    Merge { patch: Value, version: Option<Which> },
    /// As `tidegate`: a merge patch of the status.
    Status { patch: Value, version: Which },
    /// With the uid as precondition.
    Delete { uid: Which },
}

/// The version, uid or value that the server has now, or one that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Which {
    Current,
    Another,
}

/// The managers of server-side applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Applier {
    Rollout,
    Sync,
}

impl From<Applier> for Manager {
    fn from(applier: Applier) -> Self {
        match applier {
            Applier::Rollout => Self::Rollout,
            Applier::Sync => Self::Sync,
        }
    }
}

fn which(dice: &mut Dice) -> Which {
    if dice.chance(88) { Which::Current } else { Which::Another }
}

/// So many writes to one object of this sort. The first makes it.
///
/// In half of them both managers apply whole objects. In the others the Rollout's only marks what others made: it applies a few
/// fields, none of which an object must have, so that it may drop them again. And in half of them no map gets empty; only in
/// those are there applies without force.
pub(super) fn sequence(dice: &mut Dice, sort: &Sort, length: usize) -> Vec<Write> {
    let (marks, steady) = (dice.chance(50), dice.chance(50));
    let sort = if steady { &sort.steady() } else { sort };
    let first = if dice.chance(40) { create(dice, sort) } else { applied(dice, sort, Applier::Sync, None) };
    let mut writes: Vec<Write> = std::iter::once(first).chain((1..length).map(|_| write(dice, sort, marks))).collect();
    if !steady {
        for write in &mut writes {
            if let Write::Apply { force, .. } = write {
                *force = true;
            }
        }
    }
    writes
}

fn write(dice: &mut Dice, sort: &Sort, marks: bool) -> Write {
    match dice.below(100) {
        0..8 => create(dice, sort),
        8..48 => apply(dice, sort, marks),
        48..63 => edit(dice, sort),
        80..92 if !sort.status.is_empty() => {
            let patch = nested(&picked(dice, &sort.status, 40), dice, true);
            Write::Status { patch: patch["status"].clone(), version: which(dice) }
        }
        63..92 => merge(dice, sort),
        _ => Write::Delete { uid: which(dice) },
    }
}

fn create(dice: &mut Dice, sort: &Sort) -> Write {
    Write::Create { object: object(dice, sort) }
}

fn apply(dice: &mut Dice, sort: &Sort, marks: bool) -> Write {
    let by = if dice.chance(50) { Applier::Rollout } else { Applier::Sync };
    if !marks || by == Applier::Sync {
        let uid = dice.chance(50).then(|| which(dice));
        return applied(dice, sort, by, uid);
    }
    let optional: Vec<Field> = sort.fields.iter().filter(|f| !f.always).cloned().collect();
    let object = nested(&picked(dice, &optional, 30), dice, false);
    // With a uid, as so little makes no object where none is.
    Write::Apply { object, by, force: dice.chance(50), uid: Some(which(dice)) }
}

fn applied(dice: &mut Dice, sort: &Sort, by: Applier, uid: Option<Which>) -> Write {
    Write::Apply { object: object(dice, sort), by, force: dice.chance(50), uid }
}

fn edit(dice: &mut Dice, sort: &Sort) -> Write {
    let field = dice.one(&sort.fields).clone();
    let to = (field.always || dice.chance(70)).then(|| dice.one(&field.values).clone());
    let at = field.at.iter().map(|key| (*key).to_owned()).collect();
    Write::Edit { at, uid: which(dice), old: which(dice), to }
}

fn merge(dice: &mut Dice, sort: &Sort) -> Write {
    let patch = nested(&picked(dice, &sort.fields, 25), dice, true);
    let version = dice.chance(40).then(|| which(dice));
    Write::Merge { patch, version }
}

/// A whole object: what must be there, and some of the rest.
fn object(dice: &mut Dice, sort: &Sort) -> Value {
    let fields: Vec<&Field> = sort.fields.iter().filter(|f| f.always || dice.chance(45)).collect();
    nested(&fields, dice, false)
}

fn picked<'a>(dice: &mut Dice, fields: &'a [Field], percent: u32) -> Vec<&'a Field> {
    let some: Vec<&Field> = fields.iter().filter(|_| dice.chance(percent)).collect();
    if some.is_empty() { vec![dice.one(fields)] } else { some }
}

/// The fields as one object; with `nulls` some are there to be taken away.
fn nested(fields: &[&Field], dice: &mut Dice, nulls: bool) -> Value {
    let mut object = json!({});
    for field in fields {
        let value =
            if nulls && !field.always && dice.chance(35) { Value::Null } else { dice.one(&field.values).clone() };
        let mut place = &mut object;
        for key in &field.at {
            place = &mut place[*key];
        }
        *place = value;
    }
    object
}

#[cfg(test)]
mod tests {
    use super::super::kinds;
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_writes_and_another_one_others() {
        for sort in kinds::all() {
            let draw = |seed| sequence(&mut Dice::new(seed), &sort, 20);
            assert_eq!(draw(7), draw(7));
            assert_ne!(draw(7), draw(8));
        }
    }

    #[test]
    fn a_list_of_writes_survives_being_printed() {
        for sort in kinds::all() {
            let writes = sequence(&mut Dice::new(3), &sort, 40);
            let text = serde_json::to_string(&writes).expect("plain data");
            assert_eq!(serde_json::from_str::<Vec<Write>>(&text).expect("as printed"), writes);
        }
    }
}
