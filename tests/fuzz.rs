//! Bounded fuzzing of everything that reads what others wrote: mutated inputs, one property, no panic and no endless work.
//!
//! `TIDEGATE_FUZZ_SECONDS` is the time for each target (default 1), `TIDEGATE_FUZZ_SEED` repeats a run. A failing input is
//! printed as it is written in Rust, to become a named test beside the code it broke.

use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use tidegate::core::analysis::condition;
use tidegate::core::analysis::reading::Reading;
use tidegate::core::analysis::spec::RunSpec;
use tidegate::manifest::{self, Format, Limits};

/// No single input may take longer: far above what the limits allow, far below what a user would notice as a hang.
const LONGEST: Duration = Duration::from_secs(10);

/// A small generator (xorshift), so that a seed repeats a run on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap_or(0)
    }
}

/// Runs one target over mutations of its seeds until its time is over.
fn fuzz(target: &str, seeds: &[&[u8]], words: &[&str], mut run: impl FnMut(&[u8])) {
    let seconds = std::env::var("TIDEGATE_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1.0);
    // The YAML parser is known to panic on odd input, and manifest:: turns that into an error: no backtrace for each.
    std::panic::set_hook(Box::new(|_| {}));
    let fresh = std::collections::hash_map::RandomState::new();
    let fresh = std::hash::BuildHasher::hash_one(&fresh, target);
    let seed = std::env::var("TIDEGATE_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(fresh) | 1;
    let (mut random, start, mut inputs) = (Random(seed), Instant::now(), 0_u64);
    while start.elapsed().as_secs_f64() < seconds {
        let input = mutate(seeds[random.below(seeds.len())], words, &mut random);
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&input)));
        let shown = String::from_utf8_lossy(&input);
        if outcome.is_err() {
            eprintln!("{target} panicked (seed {seed}) on {shown:?}");
        }
        assert!(outcome.is_ok(), "{target} panicked, see above");
        if began.elapsed() >= LONGEST {
            eprintln!("{target} took {:?} (seed {seed}) on {shown:?}", began.elapsed());
        }
        assert!(began.elapsed() < LONGEST, "{target} takes too long, see above");
        inputs += 1;
    }
    println!("{target}: {inputs} inputs in {seconds} s, seed {seed}");
    assert!(inputs > 10, "{target} is too slow to be fuzzed: {inputs} inputs");
}

fn mutate(seed: &[u8], words: &[&str], random: &mut Random) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(12)).min(input.len());
        match random.below(6) {
            0 => drop(input.drain(at..end)),
            1 => input.splice(at..at, words[random.below(words.len())].bytes()).for_each(drop),
            2 => {
                let piece = input[at..end].to_vec();
                let to = random.below(input.len() + 1);
                input.splice(to..to, piece).for_each(drop);
            }
            3 if at < input.len() => input[at] ^= 1 << random.below(8),
            4 => {
                // The same piece many times: what is nested, repeated or long.
                let piece = words[random.below(words.len())].repeat(1 + random.below(200));
                input.splice(at..at, piece.bytes()).for_each(drop);
            }
            _ => input.truncate(at.max(1).min(input.len())),
        }
    }
    input
}

#[test]
fn manifests_never_panic() {
    let seeds: [&[u8]; 4] = [
        b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    text\n  y: >-\n    folded\n",
        b"apiVersion: v1\nkind: List\nitems:\n- &a {apiVersion: v1, kind: Secret, metadata: {name: b}}\n- *a\n---\n---\n",
        b"{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"web\"}, \"spec\": {\"ports\": [{\"port\": 80}]}}",
        b"a: &x [1, 0o17, 0x1f, 1_000, .inf, .nan, ~, yes, !!str 3]\nb: {<<: {c: d}, e: *x}\n",
    ];
    let words = [
        "&a ",
        "*a",
        "- ",
        "? ",
        ": ",
        "|\n",
        "<<: ",
        "{",
        "[",
        "\t",
        "!!binary ",
        "---\n",
        "\u{feff}",
        "%TAG ",
        "'",
        "\"",
    ];
    fuzz("manifest", &seeds, &words, |input| {
        for format in [Format::Yaml, Format::Json] {
            drop(manifest::read(input, format, &Limits::default()));
        }
    });
}

#[test]
fn conditions_never_panic_and_never_hang() {
    let seeds: [&[u8]; 4] = [
        b"result[0] >= 0.95 && len(result) > 0",
        b"all(result, # > 0.5) or any(result, {# > 0.98})",
        b"default(result[0], 0) < 0.05 ? isNaN(result) : asFloat(\"1\") in [1, 2]",
        b"let x = sum(filter(1..10, # > 3)); x matches \"a+\" ?? result?.ok",
    ];
    let words =
        ["(", ")", "all(result, ", "1..9999", "{#", "!", "? 1 : ", " && ", "result[0]", "map(", "\"", "len(", "-"];
    let readings = [
        Reading::Number(f64::NAN),
        Reading::List(vec![0.5, f64::INFINITY]),
        Reading::List(vec![]),
        Reading::Json(json!({"ok": true, "items": [1, null, "x"]})),
    ];
    fuzz("condition", &seeds, &words, |input| {
        let text = String::from_utf8_lossy(input);
        drop(condition::check(&text));
        for reading in &readings {
            drop(condition::judge(&text, "", reading));
        }
    });
}

/// Specs as trees: parts of a valid one replaced by values that no schema foresaw.
#[test]
fn specs_of_runs_never_panic() {
    let valid = json!({"metrics": [{"name": "errors", "interval": "10s", "count": 3, "failureLimit": "1", "successCondition": "result[0] < 0.1",
        "provider": {"prometheus": {"address": "http://prometheus:9090", "query": "up{a=\"{{args.x}}\"}", "timeout": 5}}}],
        "args": [{"name": "x", "value": "1"}], "dryRun": [{"metricName": ".*"}]});
    let seed = serde_json::to_vec(&valid).expect("plain JSON");
    let words = [
        "null",
        "-1",
        "\"\"",
        "[]",
        "{}",
        "1e308",
        "\"9999999999h\"",
        "true",
        "\"{{args.\"",
        ",",
        "99999999999999999999",
    ];
    fuzz("run spec", &[&seed], &words, |input| {
        if let Ok(spec) = serde_json::from_slice::<Value>(input) {
            drop(RunSpec::parse(&spec));
        }
    });
}
