// The table of mean scores: rows model x benchmark, columns cases and their mean.

function explorer() {
  const state = {
    metric: metricNames[0],
    view: "values",
    backbones: new Set(), regs: new Set(), benchmarks: new Set(), cases: new Set(), // empty: all
    sort: null, // {key, descending}; null: the order of the run
  };
  const [head, body] = [byId("explorer-table").tHead, byId("explorer-table").tBodies[0]];
  const wanted = (chosen, name) => chosen.size === 0 || chosen.has(name);

  function several(label, names, chosen) {
    const buttons = new Map();
    const mark = () => buttons.forEach((button, name) =>
      button.setAttribute("aria-pressed", name === null ? chosen.size === 0 : chosen.has(name)));
    const press = (name) => {
      if (name === null) chosen.clear();
      else if (!chosen.delete(name)) chosen.add(name);
      if (chosen.size === names.length) chosen.clear();
      mark();
      draw();
    };
    for (const name of [null, ...names]) {
      buttons.set(name, el("button", { type: "button", "data-value": name ?? "", onclick: () => press(name) }, name ?? "all"));
    }
    mark();
    return group(label, [...buttons.values()]);
  }

  function one(label, options, key) {
    const buttons = options.map(([value, text, disabled]) => el("button", {
      type: "button", "data-value": value, disabled, "aria-pressed": String(state[key] === value),
      onclick: (event) => {
        state[key] = value;
        buttons.forEach((button) => button.setAttribute("aria-pressed", button === event.currentTarget));
        draw();
      },
    }, text));
    return group(label, buttons);
  }

  const group = (label, buttons) =>
    el("div", { class: "chips", role: "group", "aria-label": label }, el("span", { "aria-hidden": "true" }, label), el("div", {}, ...buttons));

  /** Mean over the images of one cell, or of its paired differences to the baseline. */
  function cell(model, benchmark, testCase) {
    const scores = scoresOf(state.metric, model, benchmark, testCase);
    if (!scores || state.view === "values") return scores && mean(scores);
    const baseline = baselineOf(model) && scoresOf(state.metric, baselineOf(model), benchmark, testCase);
    if (!baseline) return null;
    return mean(scores.map((score, image) => (score === null || baseline[image] === null ? null : score - baseline[image])));
  }

  function rows(cases) {
    const found = [];
    for (const benchmark of data.benchmarks.filter(({ name }) => wanted(state.benchmarks, name))) {
      for (const model of data.models) {
        const kept = isControl(model) || (wanted(state.backbones, model.backbone) && wanted(state.regs, model.reg));
        if (!kept) continue;
        const row = { model, backbone: model.backbone, reg: model.reg, benchmark: benchmark.name, values: {} };
        for (const testCase of cases) row.values[testCase] = cell(model, benchmark.name, testCase);
        const own = Object.values(row.values);
        row.values.mean = own.includes(null) ? null : mean(own); // a mean over fewer cases is not comparable
        found.push(row);
      }
    }
    return found;
  }

  function sorted(found) {
    if (!state.sort) return found;
    const { key, descending } = state.sort, sign = descending ? -1 : 1;
    const value = (row) => (key in row && key !== "values" ? row[key] : row.values[key.slice(1)] ?? null);
    return [...found].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null); // holes come last, either way
      return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
    });
  }

  /** First press: names A to Z, numbers best first; second press: the reverse; third press: the run's order. */
  function sortBy(key) {
    const first = key.startsWith("=") && data.metrics[state.metric].higher_is_better !== false;
    if (state.sort?.key !== key) state.sort = { key, descending: first };
    else if (state.sort.descending === first) state.sort.descending = !first;
    else state.sort = null;
    draw();
    head.querySelector(`[data-key="${CSS.escape(key)}"]`).focus();
  }

  function column(key, label, kind) {
    const direction = state.sort?.key !== key ? "none" : state.sort.descending ? "descending" : "ascending";
    return el("th", { scope: "col", class: kind, "aria-sort": direction },
      el("button", { type: "button", "data-key": key, onclick: () => sortBy(key) }, label));
  }

  /** benchmark and column -> the best value among the rows shown. */
  function best(found, columns) {
    const tops = {};
    for (const row of found) for (const name of columns) {
      const value = row.values[name], key = `${row.benchmark}\n${name}`;
      if (value !== null && !(key in tops && gain(tops[key] - value, state.metric) >= 0)) tops[key] = value;
    }
    return (row, name) => shown(tops[`${row.benchmark}\n${name}`] ?? null, state.metric);
  }

  function number(row, name, top) {
    const value = row.values[name], differs = state.view === "difference";
    const text = shown(value, state.metric, differs);
    const neutral = isNeutral(state.metric);
    const kind = value === null || !differs || neutral || /^[0.]+$/.test(text) ? "none" : gain(value, state.metric) > 0 ? "up" : "down";
    const isTop = value !== null && !neutral && shown(value, state.metric) === top(row, name);
    return el("td", { class: `${name === "mean" ? "mean " : ""}${differs || value === null ? kind : ""}` || null }, isTop ? el("b", {}, text) : text);
  }

  function draw() {
    const cases = data.cases.filter((name) => wanted(state.cases, name));
    const columns = [...cases, "mean"];
    const found = sorted(rows(cases));
    const top = best(found, columns);
    head.replaceChildren(el("tr", {},
      column("benchmark", "benchmark", "text"), column("backbone", "backbone", "text"), column("reg", "regularizer", "text name"),
      ...columns.map((name) => column(`=${name}`, name, name === "mean" ? "mean" : null))));
    body.replaceChildren(...found.map((row) => el("tr", { class: isControl(row.model) ? "reference" : null },
      el("th", { scope: "row" }, row.benchmark), el("th", { scope: "row" }, row.backbone), el("th", { scope: "row", class: "name", "data-of": unique([row.benchmark, row.backbone]).filter((name) => name !== row.reg).join(" ") }, row.reg),
      ...columns.map((name) => number(row, name, top)))));
    const { label } = data.metrics[state.metric];
    const what = state.view === "values" ? label : `${label}, minus ${data.baseline} with the same backbone`;
    const compared = state.view === "values" ? "" : "; bicubic and bilinear have no backbone to compare with";
    byId("explorer-status").textContent = `${found.length} rows: ${what}, ${betterSide(state.metric)} is better${compared}.`;
  }

  const baselines = data.models.some(baselineOf);
  byId("explorer-controls").append(
    one("Metric", metricOptions(), "metric"),
    one("Show", [["values", "values"], ["difference", `difference to ${data.baseline}`, !baselines]], "view"),
    several("Backbone", backbones, state.backbones),
    several("Regularizer", regularizers, state.regs),
    several("Benchmark", data.benchmarks.map(({ name }) => name), state.benchmarks),
    several("Case", data.cases, state.cases),
  );
  draw();
}
