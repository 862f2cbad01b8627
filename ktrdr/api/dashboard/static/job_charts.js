// The four curves of a training, moved along as it learns.
import { lineChart, percent, trimmed } from "./charts.js";

const WHOLE = (value) => (Number.isInteger(value) ? String(value) : "");
const SYNC = "epochs";

export class JobCharts {
  constructor(element) {
    this.element = element;
    this.marks = [];
    this.charts = null;
    this.last = "";
    this.logScale = document.getElementById("log-scale");
    this.logScale.addEventListener("change", () => this.makeLoss(JSON.parse(this.last)));
  }

  draw(curves) {
    const text = JSON.stringify(curves);
    if (text === this.last) return;
    this.last = text;
    this.element.hidden = curves.epoch.length === 0;
    document.getElementById("log-scale-label").hidden = this.element.hidden;
    if (this.element.hidden) return;
    this.marks = [
      ...curves.marks.map(({ kind, epoch }) =>
        kind === "checkpoint"
          ? { x: epoch, color: "line-strong", dash: [1, 4] }
          : { x: epoch + 0.5, label: kind, color: "bad", dash: [] }),
      ...(curves.best === null ? [] : [{ x: curves.best, label: `best: ${curves.best}`, color: "good" }]),
    ];
    document.getElementById("figure-accuracy").hidden = curves.train_accuracy.every((value) => value === null);
    if (this.charts === null) this.make();
    this.charts.loss.setData([curves.epoch, curves.train_loss, curves.validation_loss]);
    this.charts.accuracy.setData([curves.epoch, curves.train_accuracy, curves.validation_accuracy]);
    this.charts.rate.setData([curves.epoch, curves.learning_rate]);
    this.charts.seconds.setData([curves.epoch, curves.seconds]);
  }

  options(series, y = {}, more = {}) {
    return {
      series, y, sync: SYNC, height: 200, marks: () => this.marks,
      x: { label: "epoch", format: WHOLE, range: (_, low, high) => [Math.min(low ?? 1, 1), Math.max(high ?? 2, 2)] },
      ...more,
    };
  }

  both = (format) => [
    { label: "train", color: "series-1", format },
    { label: "validation", color: "series-2", dash: [6, 3], format },
  ];

  make() {
    const at = (name) => document.getElementById(`chart-${name}`);
    this.charts = {
      accuracy: lineChart(at("accuracy"), this.options(this.both(percent), { format: percent })),
      rate: lineChart(at("rate"), this.options([{ label: "learning rate", color: "series-5" }], { format: (value) => trimmed(value, 3) })),
      seconds: lineChart(at("seconds"), this.options([{ label: "seconds", color: "series-3" }], {
        range: (_, _low, high) => [0, (high || 1) * 1.1], format: (value) => trimmed(value, 3),
      })),
    };
    this.makeLoss();
  }

  makeLoss(curves) {
    this.charts.loss?.remove();
    const scales = this.logScale.checked ? { y: { distr: 3 } } : {};
    this.charts.loss = lineChart(document.getElementById("chart-loss"), this.options(this.both(), {}, { scales }));
    if (curves) this.charts.loss.setData([curves.epoch, curves.train_loss, curves.validation_loss]);
  }
}
