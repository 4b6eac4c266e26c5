//! Traefik's rules, read as far as it is needed to know that one is surely about other hosts.
//!
//! Wrong in one direction only: a rule that is not understood may match anything.

/// Deeper nesting is not understood. Nobody writes it, and reading it takes the stack.
const DEEPEST: usize = 32;

/// False only when no request for one of `hosts` can match the rule. Without `hosts` any rule may match.
pub(super) fn may_match(rule: &str, hosts: &[String]) -> bool {
    let mut reader = Reader { rest: rule, hosts, depth: 0 };
    let may = reader.any();
    let whole = reader.rest.trim_start().is_empty();
    may.filter(|_| whole).unwrap_or(true)
}

/// What stands inside the parentheses that a rule begins with.
pub(super) fn first_group(rule: &str) -> Option<&str> {
    let inside = rule.trim_start().strip_prefix('(')?;
    let mut reader = Reader { rest: inside, hosts: &[], depth: 0 };
    reader.any()?;
    let group = &inside[..inside.len() - reader.rest.len()];
    reader.eat(")").then(|| group.trim())
}

/// Hosts that a rule names.
pub(super) fn hosts_of(rule: &str) -> Vec<String> {
    rule.split("Host(").skip(1).flat_map(|part| names(part.split(')').next().unwrap_or_default())).collect()
}

fn names(arguments: &str) -> Vec<String> {
    let names = arguments.split(',').map(|h| h.trim().trim_matches(['`', '"']).to_owned());
    names.filter(|h| !h.is_empty()).collect()
}

/// Reads from the left; each part says whether it may match, or that it is not understood.
struct Reader<'a> {
    rest: &'a str,
    hosts: &'a [String],
    depth: usize,
}

impl<'a> Reader<'a> {
    fn eat(&mut self, token: &str) -> bool {
        match self.rest.trim_start().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn any(&mut self) -> Option<bool> {
        let mut may = self.all()?;
        while self.eat("||") {
            may |= self.all()?;
        }
        Some(may)
    }

    fn all(&mut self) -> Option<bool> {
        let mut may = self.one()?;
        while self.eat("&&") {
            may &= self.one()?;
        }
        Some(may)
    }

    fn one(&mut self) -> Option<bool> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let may = if self.eat("!") {
            self.one()?;
            // What it leaves out says nothing about what is left.
            true
        } else if self.eat("(") {
            let may = self.any()?;
            self.eat(")").then_some(may)?
        } else {
            self.matcher()?
        };
        self.depth -= 1;
        Some(may)
    }

    fn matcher(&mut self) -> Option<bool> {
        let (name, arguments) = self.rest.split_once('(')?;
        if name.trim().is_empty() || !name.trim().chars().all(|c| c.is_ascii_alphanumeric()) {
            return None;
        }
        let end = closing(arguments)?;
        self.rest = &arguments[end + 1..];
        let named = names(&arguments[..end]);
        Some(name.trim() != "Host" || named.is_empty() || named.iter().any(|name| self.may_be(name)))
    }

    fn may_be(&self, name: &str) -> bool {
        self.hosts.is_empty() || name.contains('*') || self.hosts.iter().any(|h| h.eq_ignore_ascii_case(name))
    }
}

/// Where the first parenthesis is that closes, outside of quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == ')' => return Some(at),
            None if matches!(c, '`' | '"') => quote = Some(c),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(rule: &str) -> bool {
        may_match(rule, &["a.b".to_owned()])
    }

    #[test]
    fn a_rule_that_needs_another_host_cannot_match() {
        for rule in [
            "Host(`c.d`)",
            "(Host(`c.d`) && PathPrefix(`/`)) && (Method(`GET`) || Method(`HEAD`))",
            "PathPrefix(`/x`) && (Host(`c.d`) || Host(\"e.f\", `g.h`))",
            "(Host(`c.d`)) && !(Host(`a.b`) && Path(`/`))",
        ] {
            assert!(!may(rule), "{rule}");
        }
    }

    #[test]
    fn a_rule_that_names_the_host_or_none_may_match() {
        for rule in [
            "Host(`A.b`)",
            "Host(`c.d`) || Host(`a.b`)",
            "Host(`c.d`) || PathPrefix(`/`)",
            "!Host(`c.d`)",
            "HostRegexp(`.*`)",
            "Host(`*.b`)",
        ] {
            assert!(may(rule), "{rule}");
        }
        assert!(may_match("Host(`c.d`)", &[]));
    }

    #[test]
    fn what_is_not_understood_may_match() {
        for rule in ["", "Host(`c.d`", "Host(`c.d`) &&", "Host(`c.d`) Path(`/`)", &"(".repeat(100_000)] {
            assert!(may(rule), "{}", &rule[..rule.len().min(40)]);
        }
    }

    #[test]
    fn a_parenthesis_in_quotes_closes_nothing() {
        assert!(!may("(PathRegexp(`/(a|b)`) && Host(`c.d`))"));
        let rule = "(Host(`a.b`) && PathRegexp(`/(a)`)) && !(Host(`a.b`))";
        assert_eq!(first_group(rule), Some("Host(`a.b`) && PathRegexp(`/(a)`)"));
        assert_eq!(first_group("Host(`a.b`)"), None);
    }
}
