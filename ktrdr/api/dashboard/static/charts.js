// Charts that move: thin wrappers around uPlot whose colours follow the theme and whose width follows the page.
// A page that uses them loads vendor/uplot/uPlot.iife.min.js (and .min.css) before its module.

const dark = matchMedia("(prefers-color-scheme: dark)");
const shown = new Set();

/** A colour of the style: `series-1`, `grid`, `muted`, … */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/**
 * A chart of lines over one x axis.
 *
 * `series`: `{label, color: "series-1", scale?, dash?, points?, format?}` each. `marks`: a function that gives vertical
 * lines, `{x, label, color, dash?}` each. `x`: `{label, time?, format?}`. Gives `{setData(data), redraw(), remove()}`;
 * data is `[xs, ys, ys, …]`, null where there is a gap.
 */
export function lineChart(element, { series, x = {}, y = {}, scales = {}, marks = () => [], height = 220, sync = null }) {
  let data = [[], ...series.map(() => [])];
  let plot = null;
  const numbers = (format, digits = 4) => format ?? ((value) => (value == null ? "–" : trimmed(value, digits)));

  function options() {
    const axis = { stroke: color("muted"), grid: { stroke: color("grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    return {
      width: Math.max(element.clientWidth, 200),
      height,
      legend: { live: true },
      cursor: { points: { size: 7 }, drag: { x: true, y: false }, ...(sync ? { sync: { key: sync } } : {}) },
      scales: { x: { time: Boolean(x.time), range: x.range }, y: y.range ? { range: y.range } : {}, ...scales },
      axes: [
        { ...axis, label: x.label, labelSize: 18, labelFont: axis.font, size: 30,
          ...(x.time ? {} : { incrs: x.whole === false ? undefined : WHOLE, values: x.format && ((_, at) => at.map(x.format)) }) },
        { ...axis, size: 58, label: y.label, labelSize: 16, labelFont: axis.font,
          values: y.format ? (_, at) => at.map(y.format) : (_, at) => at.map((value) => trimmed(value, 4)) },
      ],
      series: [
        { label: x.label ?? "", value: x.format ? (_, value) => (value == null ? "–" : x.format(value)) : undefined },
        ...series.map((one) => ({
          label: one.label,
          scale: one.scale ?? "y",
          stroke: () => color(one.color),
          width: one.width ?? 1.75,
          dash: one.dash,
          spanGaps: false,
          points: { show: one.points ?? undefined, size: 5 },
          value: (_, value) => numbers(one.format)(value),
        })),
      ],
      hooks: { draw: [(self) => drawMarks(self, marks())] },
    };
  }

  function make() {
    plot?.destroy();
    plot = new uPlot(options(), data, element);
  }

  const resized = new ResizeObserver(() => {
    const width = Math.max(element.clientWidth, 200);
    if (plot && plot.width !== width) plot.setSize({ width, height });
  });
  const chart = {
    setData(fresh) {
      data = fresh;
      plot.setData(fresh);
    },
    redraw: () => plot.redraw(),
    retheme: make,
    remove() {
      resized.disconnect();
      shown.delete(chart);
      plot.destroy();
    },
  };
  make();
  resized.observe(element);
  shown.add(chart);
  return chart;
}

const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000];

/** A number with so many digits that count, without trailing zeros. */
export function trimmed(value, digits) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size < 1e-4 || size >= 1e6 ? value.toExponential(2) : String(Number(value.toPrecision(digits)));
}

export const percent = (value) => (value == null ? "–" : `${Number((value * 100).toFixed(1))} %`);

function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textBaseline = "top";
  for (const mark of marks) {
    const at = plot.valToPos(mark.x, "x", true);
    if (!(at >= bbox.left && at <= bbox.left + bbox.width)) continue;
    ctx.strokeStyle = ctx.fillStyle = color(mark.color ?? "faint");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash((mark.dash ?? [3, 3]).map((part) => part * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    if (mark.label) {
      const isLeft = at > bbox.left + bbox.width * 0.8;
      ctx.textAlign = isLeft ? "right" : "left";
      ctx.fillText(mark.label, at + (isLeft ? -4 : 4) * devicePixelRatio, bbox.top + 2 * devicePixelRatio);
    }
  }
  ctx.restore();
}

dark.addEventListener("change", () => shown.forEach((chart) => chart.retheme()));
