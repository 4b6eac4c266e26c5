//! What of the routing was seen, and what is expected of it: names, shares, selectors, and whether Traefik serves them.

use super::facts::{Endpoints, Facts};
use super::named::{self, Named, Services};
use super::pass::Pass;
use super::spec::{Shield, Traffic, Way};
use crate::api::{TrafficInstance, TrafficObjects, TrafficShare, TrafficStatus};
use crate::core::object::ResourceType;
use crate::core::question::{Ask, Question, Told};
use crate::core::refusal::Refusal;
use crate::core::row::{Meta, ServiceRow, TraefikServiceRow};
use crate::core::scalar::{Span, Weight};
use crate::core::traffic::layers::{self, Layers, RouteObject};
use crate::core::traffic::live::{self, Addresses, Expected};
use crate::core::traffic::names;
use crate::core::traffic::root::{Child, Root};
use crate::core::traffic::transport;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// Start of the id of the question what Traefik serves.
const ROUTES: &str = "routes";

/// What is written is loaded by then, as Traefik's throttle is two seconds: also what was asked for in between, and is not wanted any
/// more. Until then it is no news that an instance has not loaded it.
pub(super) const LOADS_WITHIN: Span = Span::from_secs(3);

/// The routing of one Rollout as it was seen.
#[derive(Debug)]
pub(super) struct Routing<'a> {
    pub root: Root,
    pub row: Option<&'a TraefikServiceRow>,
    /// The canary's share in the root object.
    pub weight: Weight,
    /// The revision that the canary Service selects.
    pub carried: Option<String>,
    /// The revision that the stable Service selects.
    pub serving: Option<String>,
    pub stable_ends: Endpoints,
    pub canary_ends: Endpoints,
    /// Routes around the weighted one, as they shall be.
    pub layers: Vec<RouteObject>,
    /// From when on the canary's entry may name our ServersTransport, when that is too new.
    pub transport_from: Option<Timestamp>,
    /// The Service whose ports and selector our own Services get.
    pub like: Option<&'a ServiceRow>,
    /// Read from the names in status because spec names others, or cannot be read: the share only goes to 0.
    pub leaving: bool,
    pub way: &'static str,
    pub ingress: Option<String>,
    pub bound: Span,
}

impl<'a> Routing<'a> {
    /// The routing that spec names; where that cannot be used, what is wrong is noted, and it is what was applied last.
    pub(super) fn find(pass: &mut Pass<'a>, services: Services<'_>, traffic: &Traffic) -> Option<Self> {
        match Self::observe(pass.f, services, traffic) {
            Ok(routing) => Some(routing),
            Err(refusals) => {
                pass.refusals.extend(refusals);
                Self::applied(pass.f, Span::from_secs(15))
            }
        }
    }

    /// Finds what spec names. What is missing or cannot be used is refused by name.
    fn observe(f: &Facts<'a>, services: Services<'_>, traffic: &Traffic) -> Result<Self, Vec<Refusal>> {
        let bound = traffic.live_timeout.unwrap_or_else(|| bound_of(f));
        let Named { root, like, bases, weighted, plain } = named::find(f, services, &traffic.way)?;
        if let Some(leaving) = Self::leaving(f, &root, bound) {
            return Ok(leaving);
        }
        let around = Layers { net: traffic.net, shield: traffic.shield, weighted, plain };
        let made = if around.net || around.weighted || around.shield != Shield::None {
            layers::objects(&bases, around, &root, &f.whose)
        } else {
            Vec::new()
        };
        let mut routing = Self::of(f, root, bound);
        if let Some(transport) = made.iter().find(|l| l.kind == "ServersTransport") {
            routing.connect_by(&transport.name, f);
        }
        routing.layers = made;
        routing.like = like;
        (routing.way, routing.ingress) = match &traffic.way {
            Way::WeightedService(_) => ("weightedTraefikServiceName", None),
            Way::Ingress(name) => ("ingress", Some(name.clone())),
        };
        Ok(routing)
    }

    /// The routing that was applied last, when spec names another by now and its canary still has a share.
    fn leaving(f: &Facts<'a>, wanted: &Root, bound: Span) -> Option<Self> {
        let old = Self::applied(f, bound)?;
        let same = old.root.name == wanted.name
            && old.root.stable.service == wanted.stable.service
            && old.root.canary.service == wanted.canary.service;
        (!same && old.weight > Weight::ZERO).then_some(old)
    }

    /// The routing that was applied last, from status: what abort uses whatever spec says now.
    pub(super) fn applied(f: &Facts<'a>, bound: Span) -> Option<Self> {
        let objects = f.seen.traffic.as_ref()?.objects.as_ref()?;
        let name = objects.traefik_service.clone()?;
        let row = f.observed.traefik_services.iter().find(|t| t.meta.name == name)?;
        let child = |service: &String| {
            let entries = row.spec["weighted"]["services"].as_array().into_iter().flatten();
            let mut ports = entries.filter(|e| e["name"] == service.as_str()).map(|e| &e["port"]);
            let port = ports.next().map(|p| p.as_str().map_or_else(|| p.to_string(), str::to_owned));
            Child { service: service.clone(), port: port.unwrap_or_default() }
        };
        let (stable, canary) = (child(objects.stable_service.as_ref()?), child(objects.canary_service.as_ref()?));
        let mut routing = Self::of(f, Root::new(&name, stable, canary), bound);
        routing.leaving = true;
        Some(routing)
    }

    fn of(f: &Facts<'a>, mut root: Root, bound: Span) -> Self {
        let stable_ends = f.endpoints(&root.stable.service);
        root.stable_is_empty = stable_ends.ready.is_empty();
        let row = f.observed.traefik_services.iter().find(|t| t.meta.name == root.name).map(AsRef::as_ref);
        Self {
            weight: row.map_or(Weight::ZERO, |row| root.weight_in(row)),
            row,
            carried: f.selected(&root.canary.service).map(str::to_owned),
            serving: f.selected(&root.stable.service).map(str::to_owned),
            stable_ends,
            canary_ends: f.endpoints(&root.canary.service),
            root,
            layers: Vec::new(),
            transport_from: None,
            like: None,
            leaving: false,
            way: "",
            ingress: None,
            bound,
        }
    }

    /// Lets the canary's entry name our ServersTransport, if Traefik knows it by now: one that is named already stays, as it is
    /// made anew when it is gone.
    fn connect_by(&mut self, transport: &str, f: &Facts<'a>) {
        let row = f.observed.servers_transports.iter().find(|t| t.meta.name == transport);
        let named = self.row.is_some_and(|row| self.root.transport_in(row) == Some(transport));
        let from = row.map(|row| transport::usable_from(row));
        if named || from.is_some_and(|from| from <= f.now) {
            self.root.transport = Some(transport.to_owned());
        } else {
            self.transport_from = from;
        }
    }

    /// A route of ours as it was seen.
    pub(super) fn seen(&self, f: &Facts<'a>, layer: &RouteObject) -> Option<(&'a Meta, &'a Value)> {
        let o = f.observed;
        let here = |meta: &Meta| meta.name == layer.name && meta.namespace == f.whose.namespace;
        match layer.kind {
            "IngressRoute" => o.ingress_routes.iter().find(|r| here(&r.meta)).map(|r| (&r.meta, &*r.spec)),
            "ServersTransport" => o.servers_transports.iter().find(|r| here(&r.meta)).map(|r| (&r.meta, &*r.spec)),
            _ => o.traefik_services.iter().find(|r| here(&r.meta)).map(|r| (&r.meta, &*r.spec)),
        }
    }

    /// Stable has no pod that answers.
    pub(super) fn is_without_stable(&self) -> bool {
        self.stable_ends.ready.is_empty()
    }

    /// Everybody is sent to the canary, and stable has nobody: Traefik does not load it.
    fn is_left(&self) -> bool {
        self.weight == Weight::FULL && self.is_without_stable()
    }

    /// Whether the canary's pods are reached with a share: by the object, or by what was last seen live.
    pub(super) fn carries(&self, pass: &Pass<'_>, hash: &str) -> bool {
        // With no pods wanted nobody is to be served by any.
        if pass.f.spec.replicas == 0 {
            return false;
        }
        let live = pass.next.traffic.as_ref().and_then(|t| t.live.as_ref());
        let live_canary = live.and_then(|l| l.canary).unwrap_or(0);
        let maybe = self.weight > Weight::ZERO || live_canary > 0 || !agreed(pass.next.traffic.as_ref());
        // A Service that lost its revision, as somebody made it anew, led to any of them.
        let by_canary = maybe && self.carried.as_deref().is_none_or(|carried| carried == hash);
        // Before anything was seen live, Traefik may send requests to whoever was there first.
        let unknown = live.is_none_or(|l| l.stable_hash.is_none()) && !agreed(pass.next.traffic.as_ref());
        let by_stable = self.serving.as_deref() == Some(hash) || unknown;
        let seen = live.is_some_and(|l| {
            l.stable_hash.as_deref() == Some(hash) || (live_canary > 0 && l.canary_hash.as_deref() == Some(hash))
        });
        by_canary || by_stable || seen
    }

    /// Compares what is wanted with what Traefik was seen to serve, and records it when they agree.
    /// `hear`: a write is near that needs a fresh word of every instance.
    pub(super) fn verify(&self, pass: &mut Pass<'_>, hear: bool) {
        let Some(mut status) = pass.next.traffic.clone() else { return };
        let Some(want) = status.want.clone() else { return };
        // Until then a sight proves nothing, and it is another question then.
        let late = LOADS_WITHIN.after(pass.f.now);
        if let Some(from) = want.since.filter(|since| *since > pass.f.now && *since <= late) {
            pass.wake_at(from);
            return;
        }
        // A silent instance is looked at until it speaks.
        if agreed(Some(&status)) && status.instances.is_empty() && !hear {
            return;
        }
        let expected = self.expected(&pass.f.whose.namespace);
        let services = [vec![expected.root.clone()], expected.addresses.keys().cloned().collect()].concat();
        let routers = expected.routers.clone();
        // The names are part of the id: other names are another question, and an answer about the old ones is none to it.
        let id = format!("{ROUTES} {} {}", services.join(","), routers.join(","));
        pass.ask.push(Question { id: id.clone(), ask: Ask::Routes { services, routers } });
        let answer = pass.f.observed.answers.get(&id).map(|a| &a.what);
        let readings = match answer {
            Some(Told::Routes(readings)) => readings.as_slice(),
            _ => &[],
        };
        let canary = names::child(&pass.f.whose.namespace, &self.root.canary.service, &self.root.canary.port);
        let reading = live::compare(&expected, &canary, readings);
        // Before there is an answer, what was known stays: a process that was just started has nothing to add.
        if answer.is_some() {
            status.instances = (reading.behind.iter())
                .map(|(name, canary, why)| TrafficInstance {
                    name: name.clone(),
                    canary: canary.and_then(|c| i32::try_from(c).ok()),
                    message: Some(why.clone()),
                })
                .collect();
        }
        let bound = self.bound.after(want.since.unwrap_or(pass.f.now));
        // Nobody answered is not nobody was asked: after a restart the bound may be long over before the first answer.
        let by_bound = answer.is_some() && reading.read == 0 && pass.f.now >= bound;
        if reading.read == 0 {
            pass.wake_at(bound);
        }
        let known = agreed(Some(&status));
        if !known && self.is_applied(&want) && (reading.live || by_bound) {
            status.rung = Some(if by_bound { "bound" } else { reading.rung.unwrap_or("address") }.to_owned());
            status.live = Some(TrafficShare { since: Some(pass.f.now), ..want });
            status.instances.retain(|i| i.canary.is_none());
        }
        pass.next.traffic = Some(status);
    }

    /// The objects in the cluster are those that are wanted, and the pods behind them those that are meant.
    fn is_applied(&self, want: &TrafficShare) -> bool {
        let percent = self.weight.percent();
        let stable = self.is_left()
            || want
                .stable_hash
                .as_deref()
                .is_none_or(|h| self.serving.as_deref() == Some(h) && self.stable_ends.only(h));
        let canary = percent == 0
            || want
                .canary_hash
                .as_deref()
                .is_some_and(|h| self.carried.as_deref() == Some(h) && self.canary_ends.only(h));
        self.row.is_some() && want.canary == Some(percent) && stable && canary
    }

    fn expected(&self, namespace: &str) -> Expected {
        let child = |c: &Child| names::child(namespace, &c.service, &c.port);
        let (stable, canary) = (child(&self.root.stable), child(&self.root.canary));
        let addresses =
            |ends: &Endpoints| Addresses { must: ends.ready.keys().cloned().collect(), may: ends.others.clone() };
        let mut behind = BTreeMap::new();
        if !self.is_left() {
            behind.insert(stable.clone(), addresses(&self.stable_ends));
        }
        let percent = i64::from(self.weight.percent());
        if percent > 0 {
            behind.insert(canary.clone(), addresses(&self.canary_ends));
        }
        Expected {
            root: names::traefik_service(namespace, &self.root.name),
            children: vec![(stable, 100 - percent), (canary, percent)],
            addresses: behind,
            // What leads to stable alone is not loaded either.
            routers: self.layers.iter().filter(|_| !self.is_left()).flat_map(|l| l.routers.clone()).collect(),
            since: None,
        }
    }

    /// Names of what was applied, for a pass that cannot read them from spec.
    pub(super) fn objects(&self) -> TrafficObjects {
        TrafficObjects {
            traefik_service: Some(self.root.name.clone()),
            ingress: self.ingress.clone(),
            ingress_route: None,
            stable_service: Some(self.root.stable.service.clone()),
            canary_service: Some(self.root.canary.service.clone()),
        }
    }

    /// Our routing objects that are there and shall not be: what a user's route that is gone left behind.
    pub(super) fn stale(&self, f: &Facts<'a>) -> Vec<(ResourceType, &'a Meta)> {
        let o = f.observed;
        let ours = |meta: &&'a Meta| {
            meta.namespace == f.whose.namespace && meta.owner.as_ref().is_some_and(|owner| owner.uid == f.whose.uid)
        };
        // One that an entry names would take the whole weighted service with it.
        let unnamed = self.weight == Weight::ZERO && agreed(f.seen.traffic.as_ref());
        let routes = o.ingress_routes.iter().map(|r| &r.meta).filter(ours);
        let services = o.traefik_services.iter().map(|t| &t.meta).filter(ours).filter(|m| m.name != self.root.name);
        let transports = o.servers_transports.iter().map(|t| &t.meta).filter(ours).filter(|_| unnamed);
        let there = (routes.map(|m| (ResourceType::INGRESS_ROUTE, m)))
            .chain(services.map(|m| (ResourceType::TRAEFIK_SERVICE, m)))
            .chain(transports.map(|m| (ResourceType::SERVERS_TRANSPORT, m)));
        let wanted = |kind: &str, name: &str| self.layers.iter().any(|l| l.kind == kind && l.name == name);
        there.filter(|(resource, meta)| !wanted(&resource.kind, &meta.name)).collect()
    }
}

fn bound_of(f: &Facts<'_>) -> Span {
    let seconds = f.observed.settings.live_bound.as_secs();
    Span::from_secs(u32::try_from(seconds).unwrap_or(15))
}

/// Equal but for their times.
pub(super) fn same_share(one: Option<&TrafficShare>, other: Option<&TrafficShare>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            TrafficShare { since: None, ..one.clone() } == TrafficShare { since: None, ..other.clone() }
        }
        (None, None) => true,
        _ => false,
    }
}

/// What is asked for was seen live, and since it was asked for.
pub(super) fn agreed(status: Option<&TrafficStatus>) -> bool {
    let (want, live) = (status.and_then(|s| s.want.as_ref()), status.and_then(|s| s.live.as_ref()));
    // Asked for in between was another share, of which nobody knows whether it was served: an older sight proves nothing.
    same_share(want, live) && live.and_then(|l| l.since) >= want.and_then(|w| w.since)
}

/// Traefik was seen to serve this revision and no other, and nothing else is asked of it.
pub(super) fn serves_only(status: Option<&TrafficStatus>, hash: &str) -> bool {
    let all = |share: Option<i32>, of: Option<&String>| share == Some(100) && of.is_some_and(|of| of == hash);
    agreed(status)
        && live_of(status).is_some_and(|live| {
            all(live.canary, live.canary_hash.as_ref()) || all(live.stable, live.stable_hash.as_ref())
        })
}

/// What was last seen live.
pub(super) fn live_of(status: Option<&TrafficStatus>) -> Option<&TrafficShare> {
    status?.live.as_ref()
}

/// Whether every instance of Traefik that was asked in this pass has answered, and none is behind.
pub(super) fn all_heard(pass: &Pass<'_>) -> bool {
    let answered = |q: &Question| matches!(q.ask, Ask::Routes { .. }) && pass.f.observed.answers.contains_key(&q.id);
    pass.ask.iter().any(answered) && pass.next.traffic.as_ref().is_some_and(|t| t.instances.is_empty())
}
