// Plots: columns of samples as lines over the time, several panels one above the other, as one SVG.

const WIDTH = 860;
const PANEL = 150;
const LEFT = 70;
const RIGHT = 150;
const GAP = 34;
const POINTS = 600;
const COLOURS = ["#2166ac", "#b2182b", "#1b7837", "#762a83"];

/**
 * Draws panels `{title, lines: [{name, values}]}` over `seconds`; `warm` is where the verdict begins.
 * A point is the largest of the samples that it stands for, so that no spike is left out.
 */
export function plot({ heading, seconds, warm, panels }) {
  const height = 40 + panels.length * (PANEL + GAP) + 24;
  const length = seconds.at(-1) || 1;
  const x = (second) => LEFT + (second / length) * (WIDTH - LEFT - RIGHT);
  const parts = panels.map((panel, nth) => drawn(panel, 40 + nth * (PANEL + GAP), seconds, x));
  const bottom = 40 + panels.length * (PANEL + GAP) - GAP;
  const ticks = Array.from({ length: 7 }, (_, nth) => (length * nth) / 6).map(
    (second) => `<text x="${x(second)}" y="${bottom + 18}" text-anchor="middle">${(second / 60).toFixed(length < 600 ? 1 : 0)} min</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="20" font-size="14" font-weight="bold">${escaped(heading)}</text>
<rect x="${LEFT}" y="40" width="${x(warm) - LEFT}" height="${bottom - 40}" fill="#f2f2f2"/>
${parts.join("\n")}
${ticks.join("\n")}
</svg>
`;
}

function drawn({ title, lines }, top, seconds, x) {
  const most = Math.max(...lines.map(({ values }) => values.reduce((a, b) => Math.max(a, b), 0))) * 1.1 || 1;
  const y = (value) => top + PANEL - (value / most) * PANEL;
  const out = [
    `<rect x="${LEFT}" y="${top}" width="${WIDTH - LEFT - RIGHT}" height="${PANEL}" fill="none" stroke="#999"/>`,
    `<text x="${LEFT}" y="${top - 6}">${escaped(title)}</text>`,
  ];
  for (const share of [0, 0.5, 1]) {
    out.push(`<text x="${LEFT - 6}" y="${y(most * share) + 4}" text-anchor="end">${shown(most * share)}</text>`);
  }
  lines.forEach(({ name, values }, nth) => {
    const colour = COLOURS[nth % COLOURS.length];
    const points = thinned(seconds, values).map(([second, value]) => `${x(second).toFixed(1)},${y(value).toFixed(1)}`);
    out.push(`<polyline points="${points.join(" ")}" fill="none" stroke="${colour}" stroke-width="1.3"/>`);
    out.push(`<text x="${WIDTH - RIGHT + 10}" y="${top + 14 + 16 * nth}" fill="${colour}">${escaped(name)}</text>`);
  });
  return out.join("\n");
}

function thinned(seconds, values) {
  const step = Math.max(1, Math.ceil(values.length / POINTS));
  const points = [];
  for (let at = 0; at < values.length; at += step) points.push([seconds[at], Math.max(...values.slice(at, at + step))]);
  return points;
}

const shown = (value) => (value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2));
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
