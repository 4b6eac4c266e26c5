//! Fields that are known and not carried out: each is refused by name, with what to do instead.
//!
//! A line leaves this table in the commit that carries the field out; `docs/shortcomings.md` has the same lines.

use super::reader::Reader;
use serde_json::Value;

/// Path below the part it is about (`[]`: any entry of a list), what is wrong, what to do.
type Line = (&'static str, &'static str, &'static str);

const NOT_YET: &str = "it is not supported yet";
const NOT_WITH_US: &str = "it is not supported";
const ONLY_TRAEFIK: &str = "use trafficRouting.traefik";
const REMOVE: &str = "remove it";

/// Below `spec`.
const UNSUPPORTED: &[Line] = &[
    ("strategy.canary.pingPong", NOT_WITH_US, "use canaryService and stableService"),
    ("strategy.canary.steps[].setHeaderRoute", NOT_YET, "remove the step"),
    ("strategy.canary.steps[].setMirrorRoute", NOT_YET, "remove the step"),
    ("strategy.canary.steps[].experiment", NOT_YET, "remove the step; use an analysis step"),
    ("strategy.canary.steps[].plugin", NOT_WITH_US, "remove the step; use an analysis step"),
];

/// The same below `trafficRouting`, which both strategies have.
const UNSUPPORTED_ROUTING: &[Line] = &[
    ("istio", NOT_WITH_US, ONLY_TRAEFIK),
    ("nginx", NOT_WITH_US, ONLY_TRAEFIK),
    ("alb", NOT_WITH_US, ONLY_TRAEFIK),
    ("smi", NOT_WITH_US, ONLY_TRAEFIK),
    ("ambassador", NOT_WITH_US, ONLY_TRAEFIK),
    ("appMesh", NOT_WITH_US, ONLY_TRAEFIK),
    ("apisix", NOT_WITH_US, ONLY_TRAEFIK),
    ("plugins", NOT_WITH_US, ONLY_TRAEFIK),
    ("managedRoutes", NOT_YET, REMOVE),
    ("traefik.ingressRoute", NOT_YET, "use weightedTraefikServiceName or ingress"),
    ("traefik.httpRoute", NOT_YET, "use weightedTraefikServiceName or ingress"),
];

/// Refuses each field of the table that is there. `spec` as it is stored.
pub(super) fn refuse(reader: &mut Reader, spec: &Value) {
    refuse_below(reader, spec, "spec", UNSUPPORTED);
    for strategy in ["canary", "blueGreen"] {
        let routing = &spec["strategy"][strategy]["trafficRouting"];
        let at = format!("spec.strategy.{strategy}.trafficRouting");
        refuse_below(reader, routing, &at, UNSUPPORTED_ROUTING);
    }
}

fn refuse_below(reader: &mut Reader, value: &Value, at: &str, lines: &[Line]) {
    for (path, problem, remedy) in lines {
        visit(value, path, at.to_owned(), &mut |field, value| reader.refuse(&field, value, *problem, remedy));
    }
}

/// Calls `found` with the full path and value of each place that `path` leads to, unless it says nothing: null, false, `[]`.
fn visit(value: &Value, path: &str, at: String, found: &mut impl FnMut(String, &Value)) {
    let Some((name, rest)) = (!path.is_empty()).then(|| path.split_once('.').unwrap_or((path, ""))) else {
        let silent = matches!(value, Value::Null | Value::Bool(false)) || value.as_array().is_some_and(Vec::is_empty);
        if !silent {
            found(at, value);
        }
        return;
    };
    match name.strip_suffix("[]") {
        None => visit(&value[name], rest, format!("{at}.{name}"), found),
        Some(list) => {
            for (index, item) in value[list].as_array().into_iter().flatten().enumerate() {
                visit(item, rest, format!("{at}.{list}[{index}]"), found);
            }
        }
    }
}
