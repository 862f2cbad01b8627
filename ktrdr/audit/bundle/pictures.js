// The pictures of the story: where the time went, and how losses and accuracies went on.

function attemptsOf(known) {
  // the events from each claim to the next
  const attempts = [];
  for (const event of known) {
    if (event.type === "JobClaimed") attempts.push([event]);
    else if (attempts.length) attempts[attempts.length - 1].push(event);
  }
  return attempts;
}

function stagesOf(attempt) {
  // name, when it began and ended (in ms), and whether it came to its end
  const stages = [];
  for (const event of attempt) {
    const at = momentOf(event),
      open = stages.find((stage) => stage.end === null);
    if (event.type === "StageStarted") stages.push({ name: event.data.name, start: at, end: null, seconds: null });
    if (event.type === "StageFinished" && open) Object.assign(open, { end: at, seconds: event.data.seconds });
    if (open && open.end === null) open.last = at;
  }
  return stages.map((stage) => ({ ...stage, whole: stage.end !== null, end: stage.end ?? stage.last ?? stage.start }));
}

function showTimes(attempts) {
  const section = byId("times");
  section.hidden = !attempts.some((attempt) => stagesOf(attempt).length);
  attempts.forEach((attempt, i) => {
    const stages = stagesOf(attempt),
      first = momentOf(attempt[0]);
    const length = Math.max(1, ...stages.map((stage) => stage.end - first));
    if (attempts.length > 1) section.append(element("h3", {}, `Claim ${i + 1}, by worker ${attempt[0].data.worker}`));
    for (const stage of stages) {
      // Stages are recorded together with others: their own measure is finer than the times of the events.
      const seconds = stage.seconds ?? (stage.end - stage.start) / 1000,
        bar = element("i", { className: stage.whole ? "" : "cut" });
      bar.style.width = `${Math.min(100, (100000 * seconds) / length)}%`;
      bar.style.left = `${Math.max(0, Math.min(99.5, (100 * (stage.end - 1000 * seconds - first)) / length))}%`;
      section.append(
        element(
          "div",
          { className: "stage" },
          element("span", {}, words(stage.name)),
          element("div", { className: "track" }, bar),
          element("span", {}, duration(seconds) + (stage.whole ? "" : " ⨯")),
        ),
      );
    }
  });
  section.append(
    element(
      "p",
      { className: "soft" },
      "Measured by the worker.",
      attempts.some((attempt) => stagesOf(attempt).some((stage) => !stage.whole)) ? " ⨯ stopped before its end." : "",
    ),
  );
}

function chart(name, series, best) {
  // series: name and points [epoch, value] of one or two lines
  const place = element("div"),
    all = series.flatMap((one) => one.points),
    values = all.map((one) => one[1]);
  const low = Math.min(...values),
    high = Math.max(...values),
    room = (high - low || Math.abs(high) || 1) * 0.06;
  const lastEpoch = Math.max(...all.map((one) => one[0])),
    firstEpoch = Math.min(...all.map((one) => one[0]));
  const draw = () => {
    const width = Math.max(place.clientWidth, 200),
      height = 220,
      left = 52,
      right = 12,
      top = 10,
      bottom = 34;
    const x = (epoch) =>
      left +
      (width - left - right) * (lastEpoch === firstEpoch ? 0.5 : (epoch - firstEpoch) / (lastEpoch - firstEpoch));
    const y = (value) => top + ((height - top - bottom) * (high + room - value)) / (high - low + 2 * room);
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": name });
    for (let i = 0; i < 4; i++) {
      const value = low + ((high - low) * i) / 3;
      svg.append(
        drawn("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
        drawn("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, numberText(Number(value.toPrecision(3)))),
      );
      if (high === low) break;
    }
    const middle = Math.round((firstEpoch + lastEpoch) / 2);
    for (const epoch of new Set([firstEpoch, middle, lastEpoch])) {
      svg.append(drawn("text", { x: x(epoch), y: height - 16, "text-anchor": "middle" }, String(epoch)));
    }
    svg.append(drawn("text", { x: (left + width - right) / 2, y: height - 1, "text-anchor": "middle" }, "epoch"));
    if (best !== null)
      svg.append(drawn("line", { class: "best", x1: x(best), x2: x(best), y1: top, y2: height - bottom }));
    series.forEach((one, i) => {
      const kind = i ? "second" : "first";
      svg.append(
        drawn("polyline", {
          class: kind,
          points: one.points.map(([epoch, value]) => `${x(epoch)},${y(value)}`).join(" "),
        }),
      );
      if (one.points.length === 1)
        svg.append(drawn("circle", { class: kind, cx: x(one.points[0][0]), cy: y(one.points[0][1]), r: 3 }));
    });
    place.replaceChildren(svg);
  };
  const keys = series.map((one, i) =>
    element("span", { className: `key ${i ? "second" : "first"}` }, `${i ? "┅" : "━"} ${one.name}`),
  );
  new ResizeObserver(draw).observe(place);
  return element(
    "figure",
    {},
    element("h3", {}, name),
    place,
    element("figcaption", {}, ...keys, best === null ? "" : `The model is that of epoch ${best} (dotted).`),
  );
}

function showCurves(known, completed) {
  const epochs = new Map(); // the newest of each number: after a resume some are trained again
  for (const event of known) if (event.type === "EpochFinished") epochs.set(event.data.epoch, event.data);
  const rows = [...epochs.values()].sort((a, b) => a.epoch - b.epoch);
  byId("curves").hidden = !rows.length;
  const best = completed ? completed.data.best_epoch : null;
  for (const what of ["loss", "accuracy"]) {
    const series = ["train", "validation"]
      .map((part) => ({
        name: part,
        points: rows.map((row) => [row.epoch, row[`${part}_${what}`]]).filter((one) => typeof one[1] === "number"),
      }))
      .filter((one) => one.points.length);
    if (series.length)
      byId("curves").lastElementChild.append(chart(what === "loss" ? "Loss" : "Accuracy", series, best));
  }
}
