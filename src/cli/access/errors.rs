//! What the API server said, for the person who asked.

use super::Cluster;
use super::connect::DEADLINE;
use crate::cli::failure::Failure;
use kube::Error;

/// Names that are shown when the one that was asked for does not exist.
const SHOWN: usize = 5;

impl Cluster {
    /// The answer of a call, within its deadline.
    pub(super) async fn answer<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        // Boxed: a request is a future of many kilobytes, and it would be part of every verb's.
        match tokio::time::timeout(DEADLINE, Box::pin(call)).await {
            Ok(outcome) => outcome.map_err(|error| self.failure(what, &error)),
            Err(_) => Err(Failure::Cluster {
                what: what.to_owned(),
                message: format!("{} gave no answer within {} s", self.server, DEADLINE.as_secs()),
            }),
        }
    }

    pub(super) fn failure(&self, what: &str, error: &Error) -> Failure {
        let message = match error {
            // A kind that is not served has no object to name.
            Error::Api(status) if status.code == 404 && status.details.as_ref().is_none_or(|d| d.name.is_empty()) => {
                return Failure::NotInstalled;
            }
            Error::Api(status) => status.message.clone(),
            other => format!("{} cannot be reached: {}", self.server, innermost(other)),
        };
        Failure::Cluster { what: what.to_owned(), message }
    }
}

/// The cause at the bottom is the one that helps: "connection refused", not "error trying to connect".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Whether the error says that the object does not exist, its kind being there.
pub(super) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Api(status)
        if status.code == 404 && status.details.as_ref().is_some_and(|d| !d.name.is_empty()))
}

/// Names that may have been meant, in words.
pub(super) fn near(wanted: &str, names: &[String]) -> String {
    if names.is_empty() {
        return "this namespace has no Rollouts; look in another one with --namespace".to_owned();
    }
    let mut close: Vec<(f64, &String)> = names.iter().map(|name| (nearness(wanted, name), name)).collect();
    close.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let likely: Vec<&str> = close.iter().filter(|(nearness, _)| *nearness > 0.7).map(|(_, n)| n.as_str()).collect();
    if likely.is_empty() {
        let some: Vec<&str> = close.iter().take(SHOWN).map(|(_, n)| n.as_str()).collect();
        let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
        return format!("there are: {}{more}", some.join(", "));
    }
    format!("did you mean {}?", likely.into_iter().take(SHOWN).collect::<Vec<_>>().join(", "))
}

/// 0 to 1. A common beginning is near (`shop` to `shop-api`), and so are letters that changed places (`wbe` to `web`).
fn nearness(a: &str, b: &str) -> f64 {
    // Two letters swapped in a name of three are a third of it.
    let typed = if strsim::normalized_damerau_levenshtein(a, b) > 0.6 { 1.0 } else { 0.0 };
    strsim::jaro_winkler(a, b).max(typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_nearly_right_is_offered_first() {
        let names = ["shop", "shop-api", "billing"].map(str::to_owned);
        for (wanted, text) in [
            ("shpo", "did you mean shop, shop-api?"),
            ("zzz", "there are: billing, shop, shop-api"),
            ("biling", "did you mean billing?"),
            ("hsop", "did you mean shop, shop-api?"),
        ] {
            assert_eq!(near(wanted, &names), text);
        }
        assert_eq!(near("wbe", &["web".to_owned()]), "did you mean web?");
        assert!(near("x", &[]).contains("no Rollouts"));
    }
}
