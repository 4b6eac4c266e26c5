//! An IngressRoute of Traefik: its routes with their rules, and the whole spec to compare our own with what is wanted.

use super::{Meta, Row, RowError};
use crate::core::object::ResourceType;
use serde_json::Value;
use std::sync::Arc;

/// What is kept of an IngressRoute.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IngressRouteRow {
    pub meta: Meta,
    pub routes: Vec<Route>,
    pub spec: Arc<Value>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// The rule: ``Host(`a.example`) && PathPrefix(`/`)``.
    pub rule: String,
    /// 0 when none is set: then it is the length of the rule.
    pub priority: i64,
    /// Kind, namespace (empty for the route's own) and name of each service.
    pub services: Vec<(String, String, String)>,
}

impl Route {
    /// The priority that Traefik gives it.
    pub fn effective_priority(&self) -> i64 {
        if self.priority == 0 { i64::try_from(self.rule.len()).unwrap_or(i64::MAX) } else { self.priority }
    }
}

impl Row for IngressRouteRow {
    type Kept = Arc<Self>;

    fn resource() -> ResourceType {
        ResourceType::INGRESS_ROUTE
    }

    fn read(object: &Value) -> Result<Self, RowError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let routes = object["spec"]["routes"].as_array().into_iter().flatten().map(|route| Route {
            rule: text(&route["match"]),
            priority: route["priority"].as_i64().unwrap_or_default(),
            services: (route["services"].as_array().into_iter().flatten())
                .map(|s| (s["kind"].as_str().unwrap_or("Service").to_owned(), text(&s["namespace"]), text(&s["name"])))
                .collect(),
        });
        let routes = routes.collect();
        Ok(Self { meta: Meta::read(object)?, routes, spec: Arc::new(object["spec"].clone()) })
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_route_without_priority_has_the_length_of_its_rule() {
        let row = IngressRouteRow::read(&json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "3"},
            "spec": {"routes": [{"match": "Host(`a.b`)", "kind": "Rule", "services": [{"name": "web", "kind": "TraefikService"}]}]},
        }))
        .expect("a whole IngressRoute");
        assert_eq!(row.routes[0].effective_priority(), 11);
        assert_eq!(row.routes[0].services, [("TraefikService".to_owned(), String::new(), "web".to_owned())]);
    }
}
