//! Reads the Jayway dialect of JSONPath and writes it as RFC 9535 (spec 02, section 7.1).
//!
//! Differences bridged: a missing `$.`, names with any characters but `.[(` and blanks, functions at the end.

use std::fmt::Write as _;

use super::json::{Function, Segment};
use crate::value::limits::{MAX_DEEP_SCANS, MAX_PATH_BYTES, MAX_PATH_NESTING, MAX_UNIONS};

/// A path taken apart.
pub(super) struct Parts {
    /// Leading steps that select at most one node.
    pub(super) prefix: Vec<Segment>,
    /// The rest from the first step on that can select many, in RFC 9535 form. Empty: there is none.
    pub(super) tail: String,
    /// Whether the tail starts with a deep scan.
    pub(super) scan: bool,
    /// Whether a filter refers to the root.
    pub(super) uses_root: bool,
    /// Function applied to the result.
    pub(super) function: Option<Function>,
}

/// Takes a path apart; an error says what is wrong.
pub(super) fn parse(text: &str) -> Result<Parts, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("the path is empty".to_owned());
    }
    check_cost(text)?;
    let mut parts = Parts {
        prefix: Vec::new(),
        tail: String::new(),
        scan: false,
        uses_root: false,
        function: None,
    };
    let rest = match text.strip_prefix('$') {
        Some(rest) => rest.to_owned(),
        None if text.starts_with('[') => text.to_owned(),
        None => format!(".{text}"),
    };
    let mut rest = rest.as_str();
    while !rest.is_empty() {
        if parts.function.is_some() {
            return Err("a function must be the last step".to_owned());
        }
        rest = step(rest, &mut parts)?;
    }
    Ok(parts)
}

/// Refuses what would be costly to parse or to follow, by the text alone.
fn check_cost(text: &str) -> Result<(), String> {
    if text.len() > MAX_PATH_BYTES {
        return Err(format!("it is longer than {MAX_PATH_BYTES} bytes"));
    }
    let (mut depth, mut scans, mut unions, mut selectors) = (0_usize, 0, 1_usize, 1_usize);
    let mut quote = None;
    let mut symbols = text.chars().peekable();
    while let Some(symbol) = symbols.next() {
        match (quote, symbol) {
            (Some(_), '\\') => drop(symbols.next()),
            (Some(mark), symbol) if symbol == mark => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(symbol),
            (None, '[' | '(') => {
                depth += 1;
                selectors = 1;
            }
            (None, ']' | ')') => {
                depth = depth.saturating_sub(1);
                unions = unions.saturating_mul(std::mem::replace(&mut selectors, 1));
            }
            (None, ',') => selectors += 1,
            (None, '.') if symbols.peek() == Some(&'.') => scans += 1,
            // A negation in a filter recurses, too.
            (None, '!') if symbols.peek() == Some(&'!') => {
                return Err("a negation of a negation".to_owned());
            }
            _ => {}
        }
        if depth > MAX_PATH_NESTING {
            return Err(format!("it nests more than {MAX_PATH_NESTING} levels"));
        }
    }
    if scans > MAX_DEEP_SCANS {
        return Err(format!("it has more than {MAX_DEEP_SCANS} deep scan"));
    }
    if unions > MAX_UNIONS {
        return Err(format!("its unions select more than {MAX_UNIONS} times"));
    }
    Ok(())
}

fn step<'t>(rest: &'t str, parts: &mut Parts) -> Result<&'t str, String> {
    if let Some(rest) = rest.strip_prefix("..") {
        if parts.tail.is_empty() {
            parts.scan = true;
        }
        parts.tail.push_str("..");
        if let Some(rest) = rest.strip_prefix('*') {
            parts.tail.push('*');
            return Ok(rest);
        }
        if rest.starts_with('[') {
            return bracket(rest, parts, true);
        }
        let (name, rest) = plain_name(rest)?;
        push_name(&mut parts.tail, name);
        return Ok(rest);
    }
    if let Some(rest) = rest.strip_prefix('.') {
        if let Some(rest) = rest.strip_prefix('*') {
            parts.tail.push_str("[*]");
            return Ok(rest);
        }
        if rest.starts_with('[') {
            return bracket(rest, parts, false);
        }
        let (name, rest) = plain_name(rest)?;
        if let Some(arguments) = rest.strip_prefix('(') {
            let rest = arguments
                .trim_start()
                .strip_prefix(')')
                .ok_or("functions take no arguments")?;
            parts.function = Some(
                Function::named(name).ok_or_else(|| format!("there is no function {name}()"))?,
            );
            return Ok(rest);
        }
        push(parts, Segment::Key(name.to_owned()));
        return Ok(rest);
    }
    if rest.starts_with('[') {
        return bracket(rest, parts, false);
    }
    Err(format!("expected '.' or '[' before '{rest}'"))
}

/// A name without quotes, and what follows it.
fn plain_name(rest: &str) -> Result<(&str, &str), String> {
    let end = rest.find(['.', '[', '(']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    if name.is_empty() {
        return Err("a name is missing".to_owned());
    }
    if name.contains(char::is_whitespace) {
        return Err(format!("blank in the unquoted name '{name}'"));
    }
    Ok((name, rest))
}

/// Appends a single-node step: to the prefix as long as there is no tail.
fn push(parts: &mut Parts, segment: Segment) {
    if parts.tail.is_empty() {
        parts.prefix.push(segment);
        return;
    }
    push_segment(&mut parts.tail, &segment);
}

/// Appends a step in RFC 9535 form.
pub(super) fn push_segment(tail: &mut String, segment: &Segment) {
    match segment {
        Segment::Key(name) => push_name(tail, name),
        // Writing to a String does not fail.
        Segment::Index(index) => drop(write!(tail, "[{index}]")),
    }
}

fn push_name(tail: &mut String, name: &str) {
    tail.push('[');
    push_quoted(tail, name);
    tail.push(']');
}

fn push_quoted(tail: &mut String, name: &str) {
    tail.push('\'');
    for symbol in name.chars() {
        match symbol {
            '\'' | '\\' => tail.extend(['\\', symbol]),
            control if control < ' ' => drop(write!(tail, "\\u{:04x}", u32::from(control))),
            other => tail.push(other),
        }
    }
    tail.push('\'');
}

/// A step in brackets: names, indexes, slice, wildcard or filter.
fn bracket<'t>(rest: &'t str, parts: &mut Parts, scanned: bool) -> Result<&'t str, String> {
    let end = closing(rest, '[', ']')?;
    let (content, rest) = (rest[1..end].trim(), &rest[end + 1..]);
    if content == "*" {
        parts.tail.push_str("[*]");
    } else if let Some(filter) = content.strip_prefix('?') {
        let filter = rewrite_filter(filter, &mut parts.uses_root)?;
        let _ = write!(parts.tail, "[?{filter}]");
    } else if content.starts_with(['\'', '"']) {
        let names = quoted_names(content)?;
        match <[String; 1]>::try_from(names) {
            Ok([name]) if !scanned => push(parts, Segment::Key(name)),
            Ok([name]) => push_name(&mut parts.tail, &name),
            Err(names) => {
                parts.tail.push('[');
                for (position, name) in names.iter().enumerate() {
                    if position > 0 {
                        parts.tail.push(',');
                    }
                    push_quoted(&mut parts.tail, name);
                }
                parts.tail.push(']');
            }
        }
    } else if content.contains(':') {
        let bounds: Vec<&str> = content.split(':').map(str::trim).collect();
        let fine = bounds.len() <= 3
            && bounds
                .iter()
                .all(|bound| bound.is_empty() || bound.parse::<i32>().is_ok());
        if !fine {
            return Err(format!("bad slice [{content}]"));
        }
        let _ = write!(parts.tail, "[{}]", bounds.join(":"));
    } else {
        let indexes: Result<Vec<i32>, _> = content
            .split(',')
            .map(|index| index.trim().parse())
            .collect();
        let indexes = indexes.map_err(|_| format!("bad step [{content}]"))?;
        match indexes.as_slice() {
            [index] if !scanned => push(parts, Segment::Index((*index).into())),
            indexes => {
                let list: Vec<String> = indexes.iter().map(i32::to_string).collect();
                let _ = write!(parts.tail, "[{}]", list.join(","));
            }
        }
    }
    Ok(rest)
}

/// Position of the bracket that closes the one at the start of `text`, quotes respected.
fn closing(text: &str, open: char, close: char) -> Result<usize, String> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (position, symbol) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if symbol == '\\' => escaped = true,
            Some(mark) if symbol == mark => quote = None,
            Some(_) => {}
            None if symbol == '\'' || symbol == '"' => quote = Some(symbol),
            None if symbol == open => depth += 1,
            None if symbol == close => {
                depth -= 1;
                if depth == 0 {
                    return Ok(position);
                }
            }
            None => {}
        }
    }
    Err(format!("'{open}' is not closed"))
}

/// `'a', "b"` as its names.
fn quoted_names(mut text: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    loop {
        let mark = text
            .chars()
            .next()
            .filter(|mark| matches!(mark, '\'' | '"'))
            .ok_or("a quoted name is missing")?;
        let mut name = String::new();
        let mut escaped = false;
        let mut end = None;
        for (position, symbol) in text.char_indices().skip(1) {
            if escaped {
                escaped = false;
                name.push(match symbol {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
            } else if symbol == '\\' {
                escaped = true;
            } else if symbol == mark {
                end = Some(position);
                break;
            } else {
                name.push(symbol);
            }
        }
        let end = end.ok_or("a quoted name is not closed")?;
        names.push(name);
        text = text[end + 1..].trim_start();
        if text.is_empty() {
            return Ok(names);
        }
        text = text
            .strip_prefix(',')
            .ok_or("names must be separated by commas")?
            .trim_start();
    }
}

/// Writes the names after `@` and `$` of a filter in quotes, since the standard allows fewer characters in plain ones.
fn rewrite_filter(filter: &str, uses_root: &mut bool) -> Result<String, String> {
    let mut out = String::with_capacity(filter.len() + 8);
    let mut rest = filter;
    while let Some(symbol) = rest.chars().next() {
        match symbol {
            '\'' | '"' => {
                let end = end_of_string(rest, symbol)?;
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            '@' | '$' => {
                *uses_root |= symbol == '$';
                let (query, after) = rewrite_query(rest)?;
                // It would be followed once for each candidate.
                if symbol == '$' && query.contains(['*', ':', '?', ',']) | query.contains("..") {
                    return Err("a filter refers to more than one place from the root".to_owned());
                }
                out.push_str(&query);
                rest = after;
            }
            other => {
                out.push(other);
                rest = &rest[other.len_utf8()..];
            }
        }
    }
    Ok(out)
}

fn end_of_string(text: &str, mark: char) -> Result<usize, String> {
    let mut escaped = false;
    for (position, symbol) in text.char_indices().skip(1) {
        match symbol {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            symbol if symbol == mark => return Ok(position + 1),
            _ => {}
        }
    }
    Err("a text in a filter is not closed".to_owned())
}

/// One query inside a filter, and what follows it.
fn rewrite_query(text: &str) -> Result<(String, &str), String> {
    let mut query = text[..1].to_owned();
    let mut rest = &text[1..];
    loop {
        if rest.starts_with('[') {
            let end = closing(rest, '[', ']')?;
            query.push_str(&rest[..=end]);
            rest = &rest[end + 1..];
            continue;
        }
        let (dots, after) = match (rest.strip_prefix(".."), rest.strip_prefix('.')) {
            (Some(after), _) => ("..", after),
            (None, Some(after)) => ("", after),
            (None, None) => return Ok((query, rest)),
        };
        query.push_str(dots);
        if let Some(after) = after.strip_prefix('*') {
            query.push_str(if dots.is_empty() { "[*]" } else { "*" });
            rest = after;
            continue;
        }
        let end = after
            .find(|symbol: char| symbol.is_whitespace() || ".[]()=<>!&|,".contains(symbol))
            .unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        if name.is_empty() {
            return Err("a name is missing in a filter".to_owned());
        }
        if let Some(after) = after.strip_prefix("()") {
            if name != "length" && name != "size" {
                return Err(format!("there is no function {name}() in filters"));
            }
            return Ok((format!("length({query})"), after));
        }
        push_name(&mut query, name);
        rest = after;
    }
}
