//! Back to a former revision, inside the rollback window and beyond it: does an analysis run?

use super::super::shop::Shop;
use super::{analysis, by_pods, is, runs, template};
use serde_json::json;

/// Revisions 1 to 3 with an analysis each, then back to 1; how many analyses ran.
fn there_and_back(window: u32) -> usize {
    let mut shop = Shop::of(1, &by_pods(json!([{"setWeight": 50}, {"analysis": analysis(&["good"])}]), json!({})));
    template(&shop, "good", json!({}));
    shop.edit(0, move |o| o["spec"]["rollbackWindow"] = json!({"revisions": window}));
    shop.play(60);
    for image in ["web:2", "web:3", "web:1"] {
        shop.deploy(0, image);
        shop.play(60);
        is(&shop, "Healthy");
    }
    runs(&shop).len()
}

#[test]
fn a_return_within_the_window_runs_no_analysis() {
    assert_eq!(there_and_back(3), 2);
}

#[test]
fn a_return_beyond_the_window_runs_it() {
    assert_eq!(there_and_back(1), 3);
}
