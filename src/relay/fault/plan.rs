//! The faults of a run: `--fault` parsed, and applied to each connection.

use std::fmt::Write;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::chain::{ConnectionFaults, FaultChain};
use super::context::{Constructor, FaultContext, key};
use super::{FAULTS, FaultKind, Medium};
use crate::relay::direction::Direction;
use crate::report::event::FaultEvent;

/// One fault: kind, direction and what its SPEC says. Clones share it.
#[derive(Clone)]
pub struct FaultSpec(Arc<Parsed>);

struct Parsed {
    kind: &'static FaultKind,
    direction: Option<Direction>,
    /// The SPEC without its direction.
    text: Arc<str>,
    construct: Constructor,
}

/// All faults of a run, and the seed of their decisions.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    /// The faults, in the order given.
    pub faults: Vec<FaultSpec>,
    /// The seed.
    pub seed: u64,
}

impl std::fmt::Debug for FaultSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaultSpec({:?}, {:?})", self.0.text, self.0.direction)
    }
}

impl FromStr for FaultSpec {
    type Err = String;

    /// Parses `close@4096`, `to-client:delay=20ms`. An unknown name fails with a list of the known.
    fn from_str(word: &str) -> Result<FaultSpec, String> {
        let (direction, spec) = split_direction(word);
        let end = spec.find(['=', '@']).unwrap_or(spec.len());
        let (name, rest) = spec.split_at(end);
        let kind = FAULTS.iter().find(|kind| kind.name == name).ok_or_else(|| unknown(name))?;
        let sign = &kind.usage[name.len()..name.len() + 1];
        let usage = || format!("'{spec}' is not written like {}", kind.usage);
        let value = rest.strip_prefix(sign).ok_or_else(usage)?;
        if direction.is_some() && kind.medium == Medium::Connection {
            return Err(format!("{name} is a fault of connections, which have no direction"));
        }
        let construct = (kind.parse)(value)?;
        Ok(FaultSpec(Arc::new(Parsed { kind, direction, text: spec.into(), construct })))
    }
}

fn split_direction(word: &str) -> (Option<Direction>, &str) {
    let prefixes =
        [("to-client:", Direction::ToClient), ("to-target:", Direction::ToTarget)].into_iter();
    let mut split = prefixes.filter_map(|(prefix, direction)| {
        word.strip_prefix(prefix).map(|spec| (Some(direction), spec))
    });
    split.next().unwrap_or((None, word))
}

fn unknown(name: &str) -> String {
    let mut text = format!("unknown fault '{name}'; known are");
    for (at, kind) in FAULTS.iter().enumerate() {
        let _ = write!(text, "{} {}", if at == 0 { "" } else { "," }, kind.usage);
    }
    text
}

impl FaultSpec {
    /// Fails when the fault cannot be applied to streams.
    pub fn check_for_streams(&self) -> Result<(), String> {
        match self.0.kind.medium {
            Medium::Datagrams => Err(format!("{} needs --udp", self.0.text)),
            Medium::Stream | Medium::Any | Medium::Connection => Ok(()),
        }
    }

    /// Fails when the fault cannot be applied to datagrams.
    pub fn check_for_datagrams(&self) -> Result<(), String> {
        let is_known = |kind: &&FaultKind| matches!(kind.medium, Medium::Datagrams | Medium::Any);
        if is_known(&self.0.kind) {
            return Ok(());
        }
        let known: Vec<_> = FAULTS.iter().filter(is_known).map(|kind| kind.name).collect();
        Err(format!("{} is a fault of streams; --udp has {}", self.0.text, known.join(", ")))
    }
}

impl FaultPlan {
    /// Whether there are no faults.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The fault that resets connection `conn` when it is accepted, if there is one.
    pub fn refuses(&self, conn: u64) -> Option<FaultEvent> {
        let is_reset = Arc::default();
        self.contexts(0, None, &is_reset).find_map(|(context, spec)| {
            let is_refused = (spec.construct)(context.clone()).refuses(conn);
            is_refused.then(|| FaultEvent { conn, offset: None, ..context.event(0) })
        })
    }

    /// The faults of connection `conn`.
    pub fn stream_faults(&self, conn: u64) -> ConnectionFaults {
        let is_reset = Arc::default();
        let faults = |direction| {
            Some(self.faults(conn, direction, &is_reset)).filter(|chain| !chain.faults.is_empty())
        };
        ConnectionFaults {
            to_client: faults(Direction::ToClient),
            to_target: faults(Direction::ToTarget),
        }
    }

    /// The faults of one direction of flow `conn`.
    pub fn datagram_faults(&self, conn: u64, direction: Direction) -> FaultChain {
        self.faults(conn, direction, &Arc::default())
    }

    fn faults(&self, conn: u64, direction: Direction, is_reset: &Arc<AtomicBool>) -> FaultChain {
        let contexts = self.contexts(conn, Some(direction), is_reset);
        FaultChain::new(contexts.map(|(context, spec)| (spec.construct)(context)).collect())
    }

    /// The faults that apply there, each with its context.
    fn contexts(
        &self,
        conn: u64,
        direction: Option<Direction>,
        is_reset: &Arc<AtomicBool>,
    ) -> impl Iterator<Item = (FaultContext, &Parsed)> {
        let applies = move |spec: &Parsed| match direction {
            None => spec.kind.medium == Medium::Connection,
            Some(_) if spec.kind.medium == Medium::Connection => false,
            Some(direction) => spec.direction.is_none_or(|only| only == direction),
        };
        let contexts = self.faults.iter().zip(0..).map(move |(spec, place)| {
            let to = direction.map_or(0, |direction| direction as u64 + 1);
            let context = FaultContext {
                conn,
                direction,
                fault: spec.0.kind.name,
                spec: spec.0.text.clone(),
                key: key(&[self.seed, conn, to, place]),
                is_reset: is_reset.clone(),
            };
            (context, &*spec.0)
        });
        contexts.filter(move |(_, spec)| applies(spec))
    }
}
