//! The ratios as a picture: a bar a case and server, on a logarithmic scale.

use std::fmt::Write as _;

use crate::report::Report;

const LABELS: f64 = 470.0;
const BARS: f64 = 480.0;
const LINE: f64 = 18.0;
const TOP: f64 = 56.0;
/// From a tenth as good to a hundred times better; what is beyond ends at the edge, its figure beside it.
const DECADES: (f64, f64) = (-1.0, 2.0);
const COLOURS: [&str; 4] = ["#2f6f9f", "#d08b2f", "#5a9f5a", "#9f5a7f"];

/// An SVG of how many times better the first server is than each other one.
pub(crate) fn draw(report: &Report) -> String {
    let others: Vec<&String> = report.servers.iter().skip(1).collect();
    let mut bars = String::new();
    let mut y = TOP;
    for case in &report.cases {
        let Some((ours, rest)) = case.servers.split_first() else {
            continue;
        };
        let ratios: Vec<_> = rest
            .iter()
            .zip(COLOURS.iter().cycle())
            .filter_map(|(other, colour)| Some((case.ratio(ours, other)?, colour)))
            .collect();
        if ratios.is_empty() {
            continue;
        }
        text(&mut bars, LABELS - 8.0, y + 13.0, "end", &case.name);
        for (ratio, colour) in ratios {
            let (from, to) = (x(1.0).min(x(ratio)), x(1.0).max(x(ratio)));
            // Writing to a String cannot fail.
            let _infallible = writeln!(
                bars,
                r#"<rect x="{from:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="{colour}"/>"#,
                y + 3.0,
                (to - from).max(1.0),
                LINE - 5.0,
            );
            text(
                &mut bars,
                to + 5.0,
                y + 13.0,
                "start",
                &format!("{ratio:.2}x"),
            );
            y += LINE;
        }
        y += 4.0;
    }
    let (width, height) = (LABELS + BARS + 80.0, y + 12.0);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
"#
    );
    let ours = report.servers.first().map_or("", String::as_str);
    text(
        &mut svg,
        8.0,
        20.0,
        "start",
        &format!("how many times better {ours} is than"),
    );
    let mut legend = 300.0;
    for (other, colour) in others.iter().zip(COLOURS.iter().cycle()) {
        let _infallible = writeln!(
            svg,
            r#"<rect x="{legend}" y="10" width="12" height="12" fill="{colour}"/>"#
        );
        text(&mut svg, legend + 18.0, 20.0, "start", other);
        legend += 40.0 + other.len() as f64 * 7.0;
    }
    for tick in [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0] {
        let at = x(tick);
        let _infallible = writeln!(
            svg,
            r##"<line x1="{at:.1}" x2="{at:.1}" y1="{:.1}" y2="{height}" stroke="#ccc"/>"##,
            TOP - 4.0
        );
        text(&mut svg, at, TOP - 8.0, "middle", &format!("{tick}x"));
    }
    svg + &bars + "</svg>\n"
}

fn x(ratio: f64) -> f64 {
    let (low, high) = DECADES;
    LABELS + (ratio.log10().clamp(low, high) - low) / (high - low) * BARS
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let content = content
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _infallible = writeln!(
        out,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{content}</text>"#
    );
}
