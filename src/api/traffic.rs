//! `trafficRouting` of a strategy.

use super::schema;
use serde_json::Value;

wire! {
    /// Which router splits the requests. Only Traefik is supported; the others are known and refused.
    pub struct TrafficRouting {
        /// Traefik 3.
        pub traefik: Option<TraefikRouting>,
        /// Routes that steps may add. Not supported yet.
        pub managed_routes: Vec<ManagedRoute>,
        /// What counts as all requests; only 100.
        pub max_traffic_weight: Option<i32>,
        /// Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub istio: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub nginx: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub alb: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub smi: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub ambassador: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub app_mesh: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub apisix: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::anything")]
        pub plugins: Option<Value>,
    }

    /// The way in through Traefik: exactly one of weightedTraefikServiceName, ingress, ingressRoute and httpRoute.
    pub struct TraefikRouting {
        /// A TraefikService that routes in git name as their backend. It is made when it is not there.
        pub weighted_traefik_service_name: Option<String>,
        /// A plain Ingress, which is left as it is; routes above it are made.
        pub ingress: Option<RouteRef>,
        /// An IngressRoute. Not supported yet.
        pub ingress_route: Option<RouteRef>,
        /// An HTTPRoute. Not supported yet.
        pub http_route: Option<RouteRef>,
        /// none, idempotent (when not given) or all: which requests stable answers when the canary fails with 502 to 504.
        pub shield: Option<String>,
        /// false leaves out the route to stable below every weighted route; true when not given.
        pub net: Option<bool>,
        /// Longest wait until a written weight must be seen in Traefik, as a number of seconds or like 15s; 15s when not given.
        #[schemars(schema_with = "schema::int_or_text")]
        pub live_timeout: Option<super::IntOrText>,
    }

    /// A routing object in the namespace of the Rollout.
    pub struct RouteRef {
        /// Its name.
        pub name: String,
    }

    /// A route that a step may add.
    pub struct ManagedRoute {
        /// Its name.
        pub name: String,
    }
}
