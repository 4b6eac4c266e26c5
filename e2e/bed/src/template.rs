//! Configuration files as templates: `{{KEY}}` is replaced, everything else stays as it is in `config/` and `manifests/`.

use crate::failure::{Failure, Result};

/// Fills `text` with `values`; a key that is left over is an error, so that a typo does not become a configuration.
pub fn fill(name: &str, text: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut out = text.to_owned();
    for (key, value) in values {
        out = out.replace(&format!("{{{{{key}}}}}"), value);
    }
    match out.find("{{").and_then(|at| out[at..].find("}}").map(|end| (at, at + end + 2))) {
        Some((at, end)) => {
            Err(Failure::new(format!("filling the template {name}"), format!("no value for {}", &out[at..end])))
        }
        None => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn every_occurrence_of_a_key_is_replaced() {
        let got = fill("t", "a {{X}} b {{X}} {{Y}}", &[("X", "1"), ("Y", "2")]).expect("all keys given");
        assert_eq!(got, "a 1 b 1 2");
    }

    /// One random name in sixteen is all digits, which YAML would read as a number, and kubectl refuses.
    #[test]
    fn random_names_are_text_in_the_kubeconfig() {
        let text = include_str!("../config/kubeconfig.yaml");
        for key in ["{{NAME}}", "{{TOKEN}}"] {
            assert!(text.contains(key));
            assert_eq!(text.matches(key).count(), text.matches(&format!("\"{key}\"")).count(), "{key} unquoted");
        }
    }

    #[test]
    fn a_key_without_a_value_is_named() {
        let failure = fill("registry.yaml", "root: {{RUM}}/x", &[("RUN", "/r")]).expect_err("a typo");
        assert!(failure.to_string().contains("{{RUM}}"), "{failure}");
    }
}
