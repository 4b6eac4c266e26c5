//! The rules of reading, the hostile corpus, and the property that no input panics or grows.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn yaml(text: &str) -> Manifests {
    read(text.as_bytes(), Format::Yaml, &Limits::default()).expect("readable")
}

fn refused(text: &str) -> ManifestError {
    read(text.as_bytes(), Format::Yaml, &Limits::default()).expect_err("must be refused").remove(0)
}

/// An object with `data` as given, so that a test is about that alone.
fn object(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n{data}")
}

fn data(text: &str) -> Value {
    yaml(&object(text)).objects.remove(0).object["data"].take()
}

#[test]
fn documents_have_their_lines_and_empty_ones_are_skipped() {
    let text = format!("# head\n---\n{}\n---\n# nothing\n---\n{}", object(""), object("data: {a: b}\n"));
    let found = yaml(&text);
    assert_eq!(found.objects.iter().map(|m| m.line).collect::<Vec<_>>(), [3, 11]);
}

#[test]
fn a_list_is_its_items() {
    let found = yaml("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: a}}\n");
    assert_eq!(found.objects[0].object["kind"], "A");
}

#[test]
fn merge_keys_do_what_kubectl_does() {
    let merged = data(
        "data:\n  base: &b {k: 1, l: 2}\n  first: {<<: *b, k: 5}\n  last:\n    k: 5\n    <<: *b\n  two: {<<: [{k: 9}, *b]}\n",
    );
    assert_eq!(merged["first"], json!({"k": 5, "l": 2}));
    // Surprising, and measured: a merge behind the key wins.
    assert_eq!(merged["last"], json!({"k": 1, "l": 2}));
    assert_eq!(merged["two"], json!({"k": 9, "l": 2}));
}

#[test]
fn a_duplicate_key_is_a_warning_and_the_last_counts() {
    let found = yaml(&object("data:\n  a: first\n  a: last\n"));
    assert_eq!(found.objects[0].object["data"]["a"], "last");
    assert_eq!(found.warnings, [(7, "the key \"a\" is there twice; the last one counts".to_owned())]);
}

#[test]
fn a_block_scalar_at_the_end_of_a_file_without_line_end_has_none() {
    assert_eq!(data("data:\n  a: |\n    x")["a"], "x");
    assert_eq!(data("data:\n  a: |+\n    x")["a"], "x");
    assert_eq!(data("data:\n  a: |-\n    x")["a"], "x");
    assert_eq!(data("data:\n  a: |\n    x\n")["a"], "x\n");
    assert_eq!(data("data:\n  a: >\n    x\n    y")["a"], "x y");
    // The scalar does not touch the end.
    assert_eq!(data("data:\n  a: |\n    x\n  b: c")["a"], "x\n");
    assert_eq!(data("data:\n  a: |\n    x\n# end")["a"], "x\n");
}

#[test]
fn byte_order_mark_and_carriage_returns_do_not_matter() {
    let text = format!("\u{feff}{}", object("data:\n  a: |\n    x\n    y\n").replace('\n', "\r\n"));
    assert_eq!(yaml(&text).objects[0].object["data"]["a"], "x\ny\n");
}

#[test]
fn json_is_read_by_content_and_by_name() {
    let one = r#"{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"n":18446744073709551615}"#;
    let found = read(format!("{one}\n{one}").as_bytes(), Format::Json, &Limits::default()).expect("two objects");
    assert_eq!(found.objects.iter().map(|m| m.line).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(found.objects[0].object["n"], json!(18_446_744_073_709_551_615.0));
    assert_eq!(yaml(one).objects.len(), 1);
    assert_eq!(yaml("{apiVersion: v1, kind: A, metadata: {name: a}}").objects.len(), 1);
    let error = read(b"{\n\"a\": }", Format::Json, &Limits::default()).expect_err("broken").remove(0);
    assert_eq!(error.to_string(), "line 2: not valid JSON: expected value");
}

#[test]
fn errors_name_their_line_and_all_bad_documents_are_found() {
    assert_eq!(refused(&object("data:\n  a: b\n c: d\n")).line, 7);
    assert_eq!(refused(&object("data:\n\ta: b\n")).line, 6);
    assert_eq!(
        refused(&object("data: *nowhere\n")).to_string(),
        "line 5: the alias *nowhere has no anchor before it in this document; define &nowhere first"
    );
    let errors = read(b"kind: A\n---\napiVersion: v1\n", Format::Yaml, &Limits::default()).expect_err("two bad ones");
    assert_eq!(errors.iter().map(|e| e.line).collect::<Vec<_>>(), [1, 3]);
}

/// Each is small and would be large, deep or slow.
#[test]
fn bombs_are_refused_by_their_limit() {
    let laughs = (1..10).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, i| {
        let refs = vec![format!("*a{}", i - 1); 9].join(",");
        format!("{text}a{i}: &a{i} [{refs}]\n")
    });
    let merges = (1..25).fold("m0: &m0 {k0: v}\n".to_owned(), |text, i| {
        format!("{text}m{i}: &m{i} {{a: *m{p}, b: *m{p}}}\n", p = i - 1)
    });
    let long = format!("t: &t {}\nl: [{}]\n", "x".repeat(1 << 20), vec!["*t"; 10_000].join(","));
    let bombs = [
        ("laughs", laughs, "grows beyond"),
        ("merges", merges, "grows beyond"),
        ("copies of long text", long, "grows beyond"),
        ("many values", format!("l: [{}]", "1,".repeat(700_000)), "grows beyond"),
        ("flow depth", "[".repeat(100_000), "nested deeper"),
        ("block depth", (0..500).map(|i| " ".repeat(i)).collect::<Vec<_>>().join("a:\n"), "nested deeper"),
        ("documents", "--- 1\n".repeat(20_000), "documents"),
        ("cycle", "a: &a [*a]\n".to_owned(), "no anchor"),
        ("bytes", "#".repeat((8 << 20) + 1), "at most"),
    ];
    for (name, text, expected) in bombs {
        let error = refused(&text);
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    let deep = read("[".repeat(100_000).as_bytes(), Format::Json, &Limits::default()).expect_err("deep");
    assert!(deep[0].to_string().contains("recursion limit"), "{}", deep[0]);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, Format::Yaml, &Limits::default());
        let _ = read(&bytes, Format::Json, &Limits::default());
    }

    /// Text made of YAML's own signs gets further than noise does.
    #[test]
    fn no_yaml_like_text_panics(text in "([a-c0-9]|[ \n\t]|: |- |\\||>|&a |\\*a|<<|\\{|\\}|\\[|\\]|,|'|\"|#|!|%|---\n|\\?){0,60}") {
        let _ = read(text.as_bytes(), Format::Yaml, &Limits::default());
    }

    /// What JSON can say, YAML reads as the same, since JSON is what we compare with.
    #[test]
    fn values_survive_being_written_as_json_inside_yaml(text in "\\PC{0,40}", int in any::<i64>(), float in -1e18f64..1e18) {
        let object = json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "t": text, "i": int, "f": float});
        let Some(as_flow) = serde_json::to_string(&object).ok().map(|t| format!("--- {t}\n")) else { return Ok(()) };
        let found = yaml(&as_flow).objects.remove(0).object;
        prop_assert_eq!(&found["t"], &object["t"]);
        prop_assert_eq!(&found["i"], &object["i"]);
        prop_assert_eq!(found["f"].as_f64(), object["f"].as_f64());
    }
}
