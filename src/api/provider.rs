//! Providers of a metric's value.

use super::IntOrText;
use super::schema;
use serde_json::Value;

wire! {
    /// Where a value comes from; exactly one field.
    pub struct Provider {
        /// A Prometheus query.
        pub prometheus: Option<PrometheusProvider>,
        /// What Traefik itself counts. Not supported yet.
        pub traefik: Option<TraefikProvider>,
        /// An HTTP request. Not supported yet.
        pub web: Option<WebProvider>,
        /// A Job. Not supported yet.
        pub job: Option<JobProvider>,
        /// Not supported.
        #[schemars(schema_with = "schema::object")]
        pub kayenta: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::object")]
        pub datadog: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::object")]
        pub wavefront: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::object")]
        pub new_relic: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::object")]
        pub cloud_watch: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::object")]
        pub graphite: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::object")]
        pub influxdb: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::object")]
        pub skywalking: Option<Value>,
        /// Not supported.
        #[schemars(schema_with = "schema::object")]
        pub plugin: Option<Value>,
    }

    /// A Prometheus query.
    pub struct PrometheusProvider {
        /// URL of the server.
        pub address: Option<String>,
        /// The query; may use {{args.name}}.
        pub query: Option<String>,
        /// Seconds that it may take; 30 when not given.
        #[schemars(schema_with = "schema::int_or_text")]
        pub timeout: Option<IntOrText>,
        /// Does not verify the server's certificate.
        pub insecure: Option<bool>,
        /// Headers to send.
        pub headers: Vec<Header>,
        /// How to log in.
        pub authentication: Option<Authentication>,
        /// Asks for a range instead of an instant. Not supported yet.
        pub range_query: Option<RangeQuery>,
    }

    /// A range of a query.
    pub struct RangeQuery {
        /// Expression like now() - duration("1h").
        pub start: Option<String>,
        /// Expression like now().
        pub end: Option<String>,
        /// Distance of two points, like 1m.
        pub step: Option<String>,
    }

    /// A header.
    pub struct Header {
        /// Its name.
        pub key: String,
        /// Its value.
        pub value: String,
    }

    /// How to log in; at most one field.
    pub struct Authentication {
        /// User and password.
        pub basic_auth: Option<BasicAuth>,
        /// Client credentials.
        pub oauth2: Option<Oauth2>,
        /// Not supported.
        #[schemars(schema_with = "schema::object")]
        pub sigv4: Option<Value>,
    }

    /// User and password.
    pub struct BasicAuth {
        /// The user.
        pub username: Option<String>,
        /// The password; use an argument that is taken from a Secret.
        pub password: Option<String>,
    }

    /// Client credentials.
    pub struct Oauth2 {
        /// Where tokens are given.
        pub token_url: Option<String>,
        /// The client.
        pub client_id: Option<String>,
        /// Its secret; use an argument that is taken from a Secret.
        pub client_secret: Option<String>,
        /// Scopes to ask for.
        pub scopes: Vec<String>,
    }

    /// What Traefik itself counts for canary and stable.
    pub struct TraefikProvider {
        /// success-rate, error-rate or latency.
        pub metric: Option<String>,
        /// For latency: 0.5, 0.95, 0.99 …, as text.
        pub quantile: Option<String>,
        /// Length of the window, like 30s.
        #[schemars(schema_with = "schema::int_or_text")]
        pub window: Option<IntOrText>,
    }

    /// An HTTP request whose answer is the value.
    pub struct WebProvider {
        /// The URL.
        pub url: Option<String>,
        /// GET (when not given), POST or PUT.
        pub method: Option<String>,
        /// Headers to send.
        pub headers: Vec<Header>,
        /// Text to send.
        pub body: Option<String>,
        /// JSON to send.
        #[schemars(schema_with = "schema::anything")]
        pub json_body: Option<Value>,
        /// Seconds that it may take; 10 when not given.
        #[schemars(schema_with = "schema::int_or_text")]
        pub timeout_seconds: Option<IntOrText>,
        /// Which part of the answer is the value; all of it when not given.
        pub json_path: Option<String>,
        /// Does not verify the server's certificate.
        pub insecure: Option<bool>,
        /// How to log in.
        pub authentication: Option<Authentication>,
    }

    /// A Job whose end is the verdict.
    pub struct JobProvider {
        /// Labels and annotations of the Job.
        pub metadata: Option<super::ObjectMetadata>,
        /// The Job's spec.
        #[schemars(schema_with = "schema::object")]
        pub spec: Option<Value>,
    }
}
