//! What of a source file can change a result: its tokens, without comments, documentation, error texts and tests.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::iter::Peekable;
use std::str::FromStr;

/// The attributes that change no number: documentation, messages, and what the compiler is to complain about.
const WITHOUT_EFFECT: [&str; 6] = ["doc", "error", "expect", "allow", "must_use", "inline"];

/// The tokens of `source` that can change a result, separated by spaces.
///
/// # Errors
///
/// The message of the lexer if `source` is not Rust.
pub fn computing_tokens(source: &str) -> Result<String, String> {
    let tokens = TokenStream::from_str(source).map_err(|error| error.to_string())?;
    let mut text = String::new();
    append_tokens(tokens, &mut text);
    Ok(text)
}

fn append_tokens(tokens: TokenStream, text: &mut String) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                append_attribute(&mut tokens, text);
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                append(open, text);
                append_tokens(group.stream(), text);
                append(close, text);
            }
            other => append(&other.to_string(), text),
        }
    }
}

fn append(token: &str, text: &mut String) {
    text.push_str(token);
    text.push(' ');
}

/// Appends what follows a `#`: an attribute, unless it has no effect, and with `cfg(test)` not its item either.
fn append_attribute(tokens: &mut Peekable<impl Iterator<Item = TokenTree>>, text: &mut String) {
    let is_inner = matches!(tokens.peek(), Some(TokenTree::Punct(p)) if p.as_char() == '!');
    if is_inner {
        tokens.next();
    }
    let Some(TokenTree::Group(attribute)) = tokens.next() else {
        return;
    };
    let mut content = attribute.stream().into_iter();
    let name = content
        .next()
        .map_or_else(String::new, |name| name.to_string());
    if WITHOUT_EFFECT.contains(&name.as_str()) {
        return;
    }
    if attribute.stream().to_string().replace(' ', "") == "cfg(test)" {
        skip_item(tokens);
        return;
    }
    append("#", text);
    append_tokens(attribute.stream(), text);
}

/// Skips tokens up to the end of an item: a block, or a semicolon.
fn skip_item(tokens: &mut impl Iterator<Item = TokenTree>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return,
            _ => {}
        }
    }
}
