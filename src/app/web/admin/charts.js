// Charts by uPlot, each with a legend in words and the same figures as a table.

import uPlot from "./uplot/uplot.js";
import { $, count, h, rate, say, seconds, time } from "./dom.js";
import { read } from "./history.js";

/** Seconds that a chart spans at least. */
const SHORTEST = 120;
/** Rows of the table beside a chart. */
const ROWS = 20;
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3], [1, 2], [12, 4]];

const percent = (value) => `${rate(value * 100)} %`;
const byDialect = (history, values) => history.dialects.map((name) => ({ name, values: values(name) }));

const CHARTS = [
  { title: "Connections", print: count, most: 4, lines: (all) => byDialect(all, (name) => all.values((point) => point.connections[name] ?? 0)) },
  { title: "Deliveries per second", print: rate, most: 4, lines: (all) => byDialect(all, (name) => all.rates((point) => point.deliveries[name] ?? 0)) },
  {
    title: "Commit to socket", print: seconds, most: 0.004,
    lines: (all) => [["median", 0.5], ["p95", 0.95], ["p99", 0.99]].map(([name, share]) => ({ name, values: all.latencies(share) })),
  },
  { title: "Feed lag", print: seconds, most: 0.004, lines: (all) => [{ name: "newest change", values: all.values((point) => point.feed_lag_seconds) }] },
  { title: "Notification queue", print: percent, most: 0.1, lines: (all) => [{ name: "full", values: all.values((point) => point.queue_usage) }] },
  {
    title: "Slow clients per second", print: rate, most: 1,
    lines: (all) => [{ name: "fell behind", values: all.rates(read.lagged) }, { name: "disconnected", values: all.rates(read.slow) }],
  },
];

const dark = matchMedia("(prefers-color-scheme: dark)");
let charts = [];

export function makeCharts() {
  charts = CHARTS.map((chart) => new Chart(chart));
  $("charts").replaceChildren(...charts.map((chart) => chart.figure));
  const fit = new ResizeObserver(() => charts.forEach((chart) => chart.fit()));
  fit.observe($("charts"));
  // A canvas does not follow the scheme by itself.
  dark.addEventListener("change", () => charts.forEach((chart) => chart.forget()));
}

export const showCharts = (history) => charts.forEach((chart) => chart.show(history));

class Chart {
  #made = null;
  #names = "";
  #open = false;

  constructor(chart) {
    this.chart = chart;
    this.canvas = h("div", { class: "canvas", role: "img", "aria-label": chart.title });
    this.legend = h("ul", { class: "legend" });
    this.table = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": `${chart.title} as a table` });
    const details = h("details", { class: "as-table" }, h("summary", {}, "As a table", h("span", { class: "unseen" }, `: ${chart.title}`)), this.table);
    details.addEventListener("toggle", () => {
      this.#open = details.open;
      if (this.history) this.#tabulate();
    });
    this.figure = h("figure", { class: "chart" }, h("figcaption", {}, chart.title), this.canvas, this.legend, details);
  }

  show(history) {
    this.history = history;
    this.lines = this.chart.lines(history);
    const names = this.lines.map((line) => line.name).join();
    if (!this.#made || names !== this.#names) this.#make(names);
    this.#made.setData([history.times(), ...this.lines.map((line) => line.values)]);
    this.#describe();
    if (this.#open) this.#tabulate();
  }

  fit() {
    const width = this.canvas.clientWidth;
    if (this.#made && width > 0 && width !== this.#made.width) this.#made.setSize({ width, height: this.#height() });
  }

  forget() {
    this.#made?.destroy();
    this.#made = null;
  }

  #height() {
    return 168;
  }

  #make(names) {
    this.forget();
    this.#names = names;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const print = this.chart.print;
    const series = this.lines.map((line, index) => ({
      label: line.name,
      stroke: colour(`--chart-${index % 6}`),
      width: 2,
      dash: DASHES[index % 6],
      points: { show: false },
      fill: this.lines.length === 1 ? colour("--chart-fill") : undefined,
    }));
    const options = {
      width: this.canvas.clientWidth || 300,
      height: this.#height(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      padding: [8, 16, 0, 0],
      scales: { x: { range: (_, min, max) => [Math.min(min, max - SHORTEST), max] }, y: { range: (_, __, max) => [0, Math.max(max ?? 0, this.chart.most) * 1.15] } },
      axes: [
        { ...axis, size: 24, space: 70, values: (_, ticks) => ticks.map((tick) => time(tick * 1000).slice(0, 5)) },
        { ...axis, size: 58, space: 34, values: (_, ticks) => ticks.map((tick) => (tick === 0 ? "0" : print(tick))) },
      ],
      series: [{}, ...series],
      hooks: { setCursor: [(made) => this.#describe(made.cursor.idx)] },
    };
    this.#made = new uPlot(options, [[], ...series.map(() => [])], this.canvas);
    this.legend.replaceChildren(...this.lines.map((line, index) =>
      h("li", {}, h("span", { class: `swatch chart-${index % 6}`, "aria-hidden": "true" }), h("span", {}, line.name), h("strong", {}))));
  }

  /** What is under the pointer, or now. */
  #describe(index) {
    if (!this.lines) return;
    const at = index ?? this.history.points.length - 1;
    const value = (line) => (line.values[at] === null || line.values[at] === undefined ? "–" : this.chart.print(line.values[at]));
    this.lines.forEach((line, nth) => {
      const item = this.legend.children[nth]?.lastChild;
      if (item) say(item, value(line));
    });
    if (index !== undefined && index !== null) return;
    const words = this.lines.map((line) => `${line.name} ${value(line)}`).join(", ");
    this.canvas.setAttribute("aria-label", `${this.chart.title}, now: ${words || "nothing yet"}`);
  }

  #tabulate() {
    const { points } = this.history;
    const from = Math.max(0, points.length - ROWS);
    const print = (value) => (value === null || value === undefined ? "–" : this.chart.print(value));
    const rows = points.slice(from).map((point, offset) =>
      h("tr", {}, h("th", { scope: "row" }, time(point.at)), this.lines.map((line) => h("td", {}, print(line.values[from + offset])))));
    const head = h("tr", {}, h("th", { scope: "col" }, "Time"), this.lines.map((line) => h("th", { scope: "col" }, line.name)));
    this.table.replaceChildren(h("table", { class: "figures" }, h("thead", {}, head), h("tbody", {}, rows.reverse())));
  }
}
