//! The rig itself: what the browser of these tests sees of a page that is known.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/driver.rs"]
mod driver;
#[path = "support/element.rs"]
mod element;
#[path = "support/looks.rs"]
mod looks;
#[path = "support/tools.rs"]
mod tools;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use browser::Browser;
use looks::Album;
use tools::{oath_code, read_qr, tools};

#[test]
fn the_rig_fills_a_form_and_turns_the_page_without_script() {
    if !browser::present() {
        return;
    }
    let site = serve();
    let browser = Browser::open();
    browser.goto(&site);
    assert_eq!(browser.title(), "A known page");
    browser.fill("name", "mistaken");
    browser.fill("name", "<b>Ada</b> & Søn");
    browser.press("Greet");
    assert_eq!(browser.path(), "/greet");
    assert_eq!(
        browser.find("h1").text(),
        "name=%3Cb%3EAda%3C%2Fb%3E+%26+S%C3%B8n"
    );
    browser.follow("Back");
    assert_eq!(browser.path(), "/");
    assert_eq!(browser.find_all("h1").len(), 1);
    assert!(browser.find_all("video").is_empty());
    assert!(browser.source().contains("<form"));
}

#[test]
fn the_rig_tells_a_cookie_that_script_can_read_from_one_that_it_cannot() {
    if !browser::present() {
        return;
    }
    let site = serve();
    let browser = Browser::open_with_script();
    browser.goto(&site);
    assert_eq!(browser.title(), "Script runs");
    let mut kept = browser.cookies();
    kept.sort_by(|one, other| one.name.cmp(&other.name));
    let [closed, open] = kept.try_into().unwrap();
    assert_eq!((&*closed.name, &*closed.value), ("closed", "1"));
    assert!(closed.http_only && !closed.secure && closed.expires_at.is_none());
    assert_eq!((&*closed.same_site, &*closed.path), ("Strict", "/"));
    assert!(!open.http_only && open.expires_at.is_some());
    assert_eq!(open.same_site, "Lax");
    assert_eq!(browser.execute_script("return document.cookie"), "open=2");

    browser.delete_cookies();
    assert!(browser.cookies().is_empty());
    browser.add_cookie(&closed);
    assert!(browser.cookies()[0].http_only);
}

#[test]
fn the_rig_measures_a_phones_page_and_sees_the_keyboards_focus() {
    if !browser::present() {
        return;
    }
    let site = serve();
    let browser = Browser::open();
    for (width, height) in [(390, 844), (1280, 900)] {
        browser.set_window(width, height);
        browser.goto(&site);
        assert_eq!(browser.page_width(), f64::from(width));
        assert_eq!(size(&browser.screenshot()), (width, height));
        let (whole_width, whole_height) = size(&browser.page_screenshot());
        assert!(
            whole_width == width && whole_height >= 2000,
            "{whole_height}"
        );
        browser.goto(&format!("{site}wide"));
        assert_eq!(browser.page_width(), f64::from(width.max(800)));
    }
    browser.goto(&site);
    browser.tab();
    let focused = browser.focused();
    assert_eq!(focused.attribute("name").unwrap(), "name");
    assert_ne!(focused.style("outline-style"), "none");
    let (width, height) = size(&focused.screenshot());
    assert!((50..400).contains(&width) && (10..100).contains(&height));
}

#[test]
fn the_rig_reads_a_qr_code_off_the_screen_and_knows_its_code() {
    if !browser::present() || !tools(&["zbarimg", "oathtool"]) {
        return;
    }
    let site = serve();
    let browser = Browser::open();
    for (width, height) in [(390, 844), (1280, 900)] {
        browser.set_window(width, height);
        browser.goto(&format!("{site}code"));
        let uri = read_qr(&browser.screenshot());
        assert_eq!(
            uri,
            format!("otpauth://totp/Example:ada?secret={SECRET}&issuer=Example")
        );
        assert_eq!(read_qr(&browser.find("img").screenshot()), uri);
    }
    // RFC 6238 appendix B, of whose eight digits these are the last six.
    for (at, code) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (20_000_000_000, "353130"),
    ] {
        assert_eq!(oath_code(SECRET, at), code);
    }
}

#[test]
fn the_rig_refuses_a_page_that_owes_its_readers_something() {
    if !browser::present() {
        return;
    }
    let site = serve();
    let browser = Browser::open();
    let folder = tempfile::tempdir().unwrap();
    let album = Album::within(Some(folder.path()));
    let look = |page: &str| {
        browser.goto(&format!("{site}page?{page}"));
        let looked = catch_unwind(AssertUnwindSafe(|| album.page(&browser, "known")));
        let refused = looked.err()?;
        Some(refused.downcast_ref::<String>().unwrap().clone())
    };
    assert_eq!(look(""), None);
    for (page, refusal) in DEBTS {
        let refused = look(page).unwrap_or_default();
        assert!(refused.contains(refusal), "{page}: {refused:?}");
    }
}

/// Serves the known pages until the test ends; where.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A browser opens connections that it says nothing on.
            thread::spawn(move || answer(&stream.unwrap()));
        }
    });
    site
}

fn answer(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().ok())?
    });
    let mut body = vec![0; length.unwrap_or_default()];
    reader.read_exact(&mut body).ok()?;
    let (more, page) = match head.split(' ').nth(1)? {
        "/" => (COOKIES, FORM.to_owned()),
        "/wide" => ("", format!("{HEAD}<div style='width:800px'>wide</div>")),
        path if path.starts_with("/page?") => ("", indebted(&path[6..])),
        "/code" => (
            "",
            format!(
                "{HEAD}<p>Scan this</p><img width=246 style='image-rendering:pixelated' src='{CODE}'>"
            ),
        ),
        "/greet" => {
            let said = String::from_utf8(body).ok()?;
            ("", format!("{HEAD}<h1>{said}</h1><a href='/'>Back</a>"))
        }
        _ => return None,
    };
    let length = page.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Length: {length}\r\n{more}\r\n{page}"
    )
    .ok()
}

/// A page that owes nothing but what is named.
fn indebted(debt: &str) -> String {
    let page = FORM.replace("<script>", "<!--").replace("</script>", "-->");
    let (from, to) = match debt {
        "wide" => ("<h1>", "<p style='width:800px'>wide</p><h1>"),
        "language" => ("<html lang=en>", "<html>"),
        "title" => ("<title>A known page</title>", ""),
        "headings" => ("<h1>", "<h1>And</h1><h1>"),
        "label" => ("for=name", "for=game"),
        "focus" => ("<h1>", "<style>button { outline: none }</style><h1>"),
        "keyboard" => ("<button", "<button tabindex=-1"),
        "picture" => ("<h1>", "<img src='/nowhere' alt=''><h1>"),
        _ => return page,
    };
    page.replace(from, to)
}

/// The width and height that a PNG says it has.
fn size(png: &[u8]) -> (u32, u32) {
    assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

const COOKIES: &str = "Set-Cookie: closed=1; Path=/; HttpOnly; SameSite=Strict\r\n\
                       Set-Cookie: open=2; Path=/; SameSite=Lax; Max-Age=60\r\n";
const HEAD: &str = "<!doctype html><html lang=en><meta name=viewport content='width=device-width, initial-scale=1'>\
                    <style>body{margin:0}</style><title>A known page</title>";
const FORM: &str = "<!doctype html><html lang=en>\
    <meta name=viewport content='width=device-width, initial-scale=1'><title>A known page</title>\
    <h1>A known page</h1>\
    <script>document.title = 'Script runs'</script>\
    <form method=post action=/greet><label for=name>Name</label><input id=name name=name>\
    <button>Greet</button></form><div style='height:2000px'></div>";
/// The secret of RFC 6238 appendix B, and the picture of a URI with it.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const CODE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAACkAAAApAQAAAACAGz1bAAABDklEQVR42n2QP0gC\
    YRjGn+/1hb7wwoiwEiIpooJsaWqqIFqagiAiIWqSmmrSKcem9sAtiosW6Q8tBS0GuQTRcGUFUQdSFGcInp7e+bmL7/Iu\
    z58fD3toHKHZK4R2fiW47cZcsSCKUecslCfIQwNgeAvjgCjljJ8NKazhGe/cpsD7es6G+H954tM0dWxHAjqoPDcpwmAn\
    kvgIq+iT7lQS5AtWdm8h3OCiThZXUxOZDKj2VdiMK2XX2NI1qP1i8DEGcg60Oxvsjux5aWW4fOhxY1xcm/X3geXb63cW\
    VDnOrlogf5SW84p6wNzvVWTmFHUaXEvGh65Urb2l6YpazmujYF/i8+8ZXJ7uP7qHaDFBHbX2XC3x+LebAAAAAElFTkSu\
    QmCC";
/// What a page can owe, and what is said of it.
const DEBTS: [(&str, &str); 8] = [
    ("wide", "scrolls sideways at 390 pixels"),
    ("language", "has no language"),
    ("title", "has no title"),
    ("headings", "has one first heading"),
    ("label", "asks for \"name\" without a label"),
    ("focus", "no focus on \"Greet\""),
    ("keyboard", "the keyboard comes everywhere"),
    ("picture", "/nowhere"),
];
