// Draws the data in the page's "charts" element into the figures that name it, and again whenever their width changes.
"use strict";
(() => {
  const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const INK = "currentColor", OURS = "var(--ours)", THEIRS = "var(--theirs)", LINE = "var(--line)";

  const UNITS = {
    number: (edge) => String(edge),
    value: (edge) => String(+edge.toPrecision(4)).replace("-", "−"),
    count: (edge) => number.format(edge),
    signed: (edge) => (edge > 0 ? `+${edge}` : String(edge).replace("-", "−")),
    share: (edge) => (edge === 0 ? "0" : edge < 1e-6 ? "> 0" : `${+(100 * edge).toFixed(1)}%`),
  };

  // The position of a value among bins that are drawn equally wide.
  const place = (edges, value) => {
    const bin = Math.max(0, Math.min(edges.length - 2, edges.findLastIndex((edge) => edge <= value)));
    return bin + (value - edges[bin]) / (edges[bin + 1] - edges[bin]);
  };

  const yAxis = (label) => [
    Plot.gridY({ stroke: LINE, strokeOpacity: 1 }),
    Plot.axisY({ label, ticks: 4, tickFormat: (d) => short.format(d), tickSize: 0, labelArrow: "none" }),
    Plot.ruleY([0], { stroke: INK }),
  ];

  // Rows by bin, beside the rows expected from the model's test data.
  function histogram({ edges, counts, expected, unit, rules = [], type = "linear", of = "rows" }, width) {
    const used = counts.map((count, i) => count > 0 || (expected && expected[i] > 0));
    const bins = unit === "count" || unit === "share" ? Math.max(3, used.lastIndexOf(true) + 1) : counts.length;
    const name = UNITS[unit];
    const rows = counts.slice(0, bins).map((count, i) => ({
      from: i + 0.04, to: i + 0.96, count, expected: expected ? expected[i] : null,
      title: `${name(edges[i])} to ${name(edges[i + 1])}\n${number.format(count)} ${of}` +
        (expected ? `\n${number.format(expected[i])} expected` : ""),
    }));
    const label = Math.max(44, 8 * d3.max(edges.slice(0, bins + 1), (edge) => name(edge).length));
    const every = Math.ceil((bins * label) / (width - 50));
    const step = unit === "number" && every <= 4 ? 4 : every;
    return Plot.plot({
      width, height: 220, marginLeft: 42, marginRight: 14, marginTop: 22, marginBottom: 30,
      x: { domain: [0, bins], label: null },
      y: { type, domain: [0, Math.max(1, ...counts, ...(expected ?? []))], nice: true },
      marks: [
        ...yAxis(of),
        Plot.rectY(rows, { x1: "from", x2: "to", y: "count", fill: OURS }),
        expected ? Plot.ruleY(rows, { x1: "from", x2: "to", y: "expected", stroke: THEIRS, strokeWidth: 2.5 }) : null,
        Plot.ruleX(rules.map((rule) => place(edges, rule)), { stroke: INK, strokeDasharray: "4 3" }),
        Plot.axisX(d3.range(0, bins + 1, step), { tickFormat: (i) => name(edges[i]), tickSize: 4 }),
        Plot.tip(rows, Plot.pointerX({ x1: "from", x2: "to", y: "count", title: "title" })),
      ],
    });
  }

  // Rows per second, over time.
  function pace({ stretches }, width) {
    const end = stretches[stretches.length - 1].end;
    const [unit, seconds] = end > 7200 ? ["hours", 3600] : end > 180 ? ["minutes", 60] : ["seconds", 1];
    const rows = stretches.map((one) => ({
      from: one.begin / seconds, to: one.end / seconds, rate: one.rows_per_second,
      title: `${number.format(one.begin / seconds)} to ${number.format(one.end / seconds)} ${unit}\n` +
        `${number.format(one.rows_per_second)} rows per second\n${number.format(one.tokens_per_second)} tokens per second`,
    }));
    return Plot.plot({
      width, height: 150, marginLeft: 42, marginRight: 14, marginTop: 22, marginBottom: 40,
      x: { domain: [0, end / seconds], label: unit, labelArrow: "none" },
      y: { domain: [0, d3.max(rows, (row) => row.rate)], nice: true },
      marks: [
        ...yAxis("rows/s"),
        Plot.rectY(rows, { x1: "from", x2: "to", y: "rate", fill: OURS, inset: 0 }),
        Plot.axisX({ ticks: Math.max(2, Math.floor(width / 90)), tickSize: 4, label: unit, labelArrow: "none" }),
        Plot.tip(rows, Plot.pointerX({ x1: "from", x2: "to", y: "rate", title: "title" })),
      ],
    });
  }

  // Rows by two scores or values: a stronger colour means more rows, on a logarithmic scale, because most rows are in two corners.
  function grid({ edges, cells, xName, yName, of, what }, width) {
    const size = Math.min(width, 460);
    const most = Math.max(2, d3.max(cells, (cell) => cell.rows));
    const name = UNITS.value;
    const ends = [edges[0], edges[edges.length - 1]];
    const rows = cells.map((cell) => ({
      x1: edges[cell.x], x2: edges[cell.x + 1], y1: edges[cell.y], y2: edges[cell.y + 1],
      strength: 0.35 + (0.65 * Math.log(cell.rows)) / Math.log(most),
      title: `${name(edges[cell.x])} to ${name(edges[cell.x + 1])} in ${xName}\n` +
        `${name(edges[cell.y])} to ${name(edges[cell.y + 1])} in ${yName}\n${number.format(cell.rows)} ${of}`,
    }));
    const axis = { ticks: 5, tickSize: 4, labelArrow: "none", tickFormat: name };
    const margin = Math.max(42, 14 + 8 * d3.max(d3.ticks(...ends, 5), (tick) => name(tick).length));
    return Plot.plot({
      width: size, height: size, marginLeft: margin, marginRight: 14, marginTop: 26, marginBottom: 40,
      x: { domain: ends }, y: { domain: ends }, opacity: { type: "identity" },
      marks: [
        Plot.gridX({ stroke: LINE, strokeOpacity: 1, ticks: 5 }), Plot.gridY({ stroke: LINE, strokeOpacity: 1, ticks: 5 }),
        Plot.rect(rows, { x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: OURS, fillOpacity: "strength", inset: 0.5 }),
        Plot.line(ends.map((end) => [end, end]), { stroke: INK, strokeDasharray: "4 3" }),
        Plot.axisX({ ...axis, label: `${what} in ${xName}`, labelAnchor: "right" }),
        Plot.axisY({ ...axis, label: `${what} in ${yName}`, labelAnchor: "top" }),
        Plot.tip(rows, Plot.pointer({ x1: "x1", x2: "x2", y1: "y1", y2: "y2", title: "title" })),
      ],
    });
  }

  const SPELLED = {
    count: (d) => short.format(d),
    number: (d) => String(+d.toPrecision(4)).replace("-", "−"),
    share: (d) => `${number.format(100 * d).replace("-", "−")}%`,
    seconds: (d) => (d < 120 ? `${number.format(d)} s` : d < 7200 ? `${number.format(d / 60)} min` : `${number.format(d / 3600)} h`),
    hours: (d) => `${number.format(d / 3600)} h`,
  };

  // Values of runs over time, above the range that the runs before make usual.
  function history({ unit, from, to, runs, models, failed }, width) {
    const known = runs.filter((run) => run.value !== null), usual = runs.filter((run) => run.low !== null);
    const least = d3.min(known, (run) => run.value), most = d3.max(known, (run) => run.value);
    const room = most - least || Math.abs(most) || 1; // a wider range would flatten the values
    const low = Math.max(Math.min(least, d3.min(usual, (run) => run.low) ?? least), least - room);
    const high = Math.min(Math.max(most, d3.max(usual, (run) => run.high) ?? most), most + room);
    const part = unit === "hours" || (unit === "seconds" && high > 7200) ? 3600 : unit === "seconds" && high > 120 ? 60 : 1;
    const ticks = d3.ticks(...d3.nice(low / part, high / part, 3), 3).map((tick) => tick * part);
    const every = (times, stroke, dash) => Plot.ruleX(times, { stroke, strokeWidth: 1.5, strokeDasharray: dash });
    const pad = Math.max((to - from) * 0.01, 3.6e6);
    return Plot.plot({
      width, height: 126, marginLeft: 52, marginRight: 8, marginTop: 10, marginBottom: 34,
      x: { type: "utc", domain: [from - pad, to + pad], label: null },
      y: { domain: d3.extent([low, high, ...ticks]), clamp: true, label: null },
      marks: [
        Plot.gridY(ticks, { stroke: LINE, strokeOpacity: 1 }),
        Plot.areaY(usual, { x: "time", y1: "low", y2: "high", fill: "var(--band)", curve: "step" }),
        every(models, "var(--model)", "5 3"),
        every(failed, "var(--bad)", "2 2"),
        Plot.lineY(runs, { x: "time", y: "value", stroke: OURS, strokeWidth: 1.25, strokeOpacity: 0.6 }),
        Plot.dot(known, { x: "time", y: "value", r: width / runs.length < 6 ? 1.2 : 2.5, fill: OURS, filter: (run) => !run.unusual }),
        Plot.dot(known, { x: "time", y: "value", r: 5, fill: "var(--theirs)", stroke: "var(--card)", filter: "unusual" }),
        Plot.axisY(ticks, { tickSize: 0, tickFormat: SPELLED[unit] }),
        Plot.axisX({ ticks: Math.max(3, Math.floor(width / 100)), tickSize: 4, label: null }),
        Plot.tip(known, Plot.pointerX({ x: "time", y: "value", title: "title" })),
      ],
    });
  }

  const KINDS = { histogram, pace, grid, history };
  const charts = JSON.parse(document.getElementById("charts").textContent);
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const chart = charts[figure.dataset.chart];
    const drawing = figure.querySelector(".drawing");
    let drawn = 0;
    const draw = () => {
      const width = Math.floor(drawing.clientWidth);
      if (!width || width === drawn) return;
      drawn = width;
      const svg = KINDS[chart.kind](chart, width);
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", `Chart: ${figure.querySelector("h3").textContent}`);
      drawing.replaceChildren(svg);
    };
    new ResizeObserver(draw).observe(drawing);
    draw();
  }
})();
