//! `list rollouts`: one line each.

use super::status::Status;
use super::text::{Line, age, columns, heading, plain, word};
use crate::api::Rollout;
use jiff::Timestamp;
use kube::ResourceExt;

/// A table of Rollouts; `everywhere` adds the namespace, `wide` the message and the images of the template.
pub(crate) fn lines(rollouts: &[Rollout], everywhere: bool, wide: bool, now: Timestamp) -> Vec<Line> {
    let mut names = vec!["NAME", "STRATEGY", "PHASE", "STEP", "SET", "LIVE", "AVAILABLE", "AGE"];
    if everywhere {
        names.insert(0, "NAMESPACE");
    }
    if wide {
        names.extend(["MESSAGE", "IMAGES"]);
    }
    let mut rows = vec![heading(&names)];
    for rollout in rollouts {
        let status = Status::of(rollout);
        let share = |s: Option<i32>| plain(s.map_or_else(|| "-".to_owned(), |s| s.to_string()));
        let mut row = vec![
            plain(status.name),
            plain(status.strategy),
            word(status.phase),
            plain(if status.step.is_empty() { "-".to_owned() } else { status.step }),
            share(status.weight.set),
            share(status.weight.live),
            plain(format!("{}/{}", status.available, status.desired)),
            plain(age(rollout.creation_timestamp().map(|t| t.0), now)),
        ];
        if everywhere {
            row.insert(0, plain(status.namespace));
        }
        if wide {
            row.extend([
                plain(if status.message.is_empty() { "-".to_owned() } else { status.message }),
                plain(images(rollout)),
            ]);
        }
        rows.push(row);
    }
    columns(rows)
}

fn images(rollout: &Rollout) -> String {
    let containers = rollout.spec.template.as_ref().and_then(|t| t["spec"]["containers"].as_array());
    let images = containers.into_iter().flatten().filter_map(|c| c["image"].as_str());
    images.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::text::paint;
    use super::*;

    #[test]
    fn a_list_shows_both_weights_and_never_a_phase_of_an_older_spec() {
        let mut fresh = sample::paused().rollout;
        fresh.metadata.name = Some("api".into());
        fresh.metadata.generation = Some(9);
        fresh.status.as_mut().expect("a status").phase = Some("Healthy".into());
        let text = paint(&lines(&[sample::paused().rollout, fresh], true, false, sample::NOW), false);
        assert_eq!(
            text,
            "NAMESPACE  NAME  STRATEGY  PHASE        STEP  SET  LIVE  AVAILABLE  AGE\n\
             shop       web   canary    Paused       1/3   20   20    3/2        16m\n\
             shop       api   canary    Progressing  1/3   20   20    3/2        16m\n"
        );
    }
}
