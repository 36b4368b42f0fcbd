// One point per image: what a regularizer changes, over the score of the same backbone without one.

/** `pictures`: what `comparison` returned, or null without a gallery. */
function scatter(pictures) {
  const ALL = ""; // every benchmark
  const svg = byId("scatter-plot").querySelector("svg"), readout = byId("scatter-readout");
  const paired = backbones.filter((name) => modelOf(name, data.baseline));
  if (!paired.length) {
    byId("scatter").querySelector(".plot").hidden = true;
    byId("scatter-status").textContent = `No backbone was trained with “${data.baseline}”, so there is nothing to compare with.`;
    return;
  }
  const state = {
    metric: metricNames[0], backbone: paired[0], reg: null,
    benchmark: ALL, testCase: data.cases.at(-1),
  };
  let points = [];

  const methods = () => [
    ...data.models.filter((model) => model.backbone === state.backbone && model.reg !== data.baseline).map((model) => model.reg),
    ...data.models.filter(isControl).map((model) => model.reg),
  ];
  const method = () => modelOf(state.reg, state.reg) ?? modelOf(state.backbone, state.reg); // a control's names are one

  function collect() {
    const [model, baseline] = [method(), modelOf(state.backbone, data.baseline)];
    points = [];
    for (const { name, images } of data.benchmarks) {
      if (state.benchmark !== ALL && state.benchmark !== name) continue;
      const ours = model && scoresOf(state.metric, model, name, state.testCase);
      const theirs = scoresOf(state.metric, baseline, name, state.testCase);
      if (!ours || !theirs) continue;
      images.forEach((image, at) => {
        if ((ours[at] ?? null) === null || (theirs[at] ?? null) === null) return;
        points.push({ benchmark: name, image, at, x: theirs[at], y: ours[at], open: Boolean(pictures?.has(name, image) && pictures.pictured(model.name)) });
      });
    }
    points.sort((a, b) => a.x - b.x || a.y - b.y); // the order of the arrow keys
  }

  function describe(point) {
    const unit = data.metrics[state.metric].label;
    return `${point.benchmark}: ${point.image}\n${data.baseline} ${shown(point.x, state.metric)}, ${state.reg} ${shown(point.y, state.metric)} ` +
      `(${shown(point.y - point.x, state.metric, true)}) ${unit}\n${point.open ? "in the gallery" : "not in the gallery"}`;
  }

  function activate(point) {
    const model = method();
    if (point.open) pictures.open(point.benchmark, point.image, state.testCase, modelOf(state.backbone, data.baseline).name, model.name);
    else scoresOfImage(point);
  }

  /** Every metric of every model with that backbone, where there is no picture to show. */
  function scoresOfImage(point) {
    const models = data.models.filter((model) => isControl(model) || model.backbone === state.backbone);
    const row = (model) => el("tr", {}, el("th", { scope: "row" }, nameOf(model)), ...metricNames.map((metric) =>
      el("td", {}, shown(scoresOf(metric, model, point.benchmark, state.testCase)?.[point.at] ?? null, metric))));
    byId("scatter-scores").replaceChildren(
      el("h3", {}, `${point.benchmark}: ${point.image}, ${state.testCase}`),
      el("div", { class: "box", tabindex: "0", role: "region", "aria-label": `Scores of ${point.image}` },
        el("table", { class: "data" },
          el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "text" }, "model"), ...metricNames.map((metric) => el("th", { scope: "col" }, data.metrics[metric].label)))),
          el("tbody", {}, ...models.map(row)))));
  }

  // ---- drawing

  /** Round steps over [low, high], six or so. */
  function ticks(low, high) {
    const raw = (high - low) / 6, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
    const found = [];
    for (let tick = Math.ceil(low / step); tick * step <= high; tick += 1) found.push(tick * step);
    return { found, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  /** What an axis shows of these values, with a margin. */
  function range(values) {
    const [low, high] = [Math.min(...values), Math.max(...values)], margin = (high - low || 1) * 0.06;
    return { low: low - margin, high: high + margin };
  }

  function shape(tag, attributes, ...children) {
    const node = document.createElementNS(svg.namespaceURI, tag);
    set(node, attributes);
    node.append(...children);
    return node;
  }

  function draw() {
    const width = Math.max(260, byId("scatter-plot").clientWidth), height = Math.max(300, Math.min(460, width * 0.7));
    const [left, right, top, bottom] = [80, 12, 12, 46];
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (!points.length) {
      svg.replaceChildren(shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "no image has both scores"));
      return;
    }
    const changes = points.map(({ x, y }) => y - x), middle = median(changes);
    const across = range(points.map(({ x }) => x)), upward = range([0, ...changes]);
    const px = (value) => left + ((value - across.low) / (across.high - across.low)) * (width - left - right);
    const py = (value) => height - bottom - ((value - upward.low) / (upward.high - upward.low)) * (height - top - bottom);
    const label = data.metrics[state.metric].label, better = betterSide(state.metric);
    const [scores, gains] = [ticks(across.low, across.high), ticks(upward.low, upward.high)];
    const signed = (value) => (value < 0 ? "−" : value > 0 ? "+" : "") + Math.abs(value).toFixed(gains.decimals);
    const axes = [
      ...scores.found.flatMap((tick) => [
        shape("line", { class: "axis", x1: px(tick), x2: px(tick), y1: top, y2: height - bottom }),
        shape("text", { x: px(tick), y: height - bottom + 17, "text-anchor": "middle" }, tick.toFixed(scores.decimals)),
      ]),
      ...gains.found.flatMap((tick) => [
        shape("line", { class: "axis", x1: left, x2: width - right, y1: py(tick), y2: py(tick) }),
        shape("text", { x: left - 7, y: py(tick) + 4, "text-anchor": "end" }, signed(tick)),
      ]),
    ];
    const centre = (top + height - bottom) / 2;
    svg.replaceChildren(...axes,
      shape("line", { class: "zero", x1: left, x2: width - right, y1: py(0), y2: py(0) }),
      shape("line", { class: "median", x1: left, x2: width - right, y1: py(middle), y2: py(middle) }),
      shape("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, `${data.baseline}: ${label}`),
      shape("text", { x: 12, y: centre, "text-anchor": "middle", transform: `rotate(-90 12 ${centre})` }, `${state.reg} − ${data.baseline}: ${label}, ${better} is better`),
      ...points.map((point, number) => shape("circle", {
        class: `point${point.open ? " filled" : ""}`, cx: px(point.x), cy: py(point.y - point.x), r: points.length > 150 ? 3.5 : 5.5,
        role: "button", tabindex: number ? -1 : 0, "aria-label": describe(point).replaceAll("\n", ", "),
        "data-image": `${point.benchmark}/${point.image}`,
        onclick: () => activate(point),
        onmouseenter: () => { readout.textContent = describe(point); },
        onfocus: () => { readout.textContent = describe(point); },
      })));
  }

  svg.addEventListener("keydown", (event) => {
    const circles = [...svg.querySelectorAll(".point")], now = circles.indexOf(event.target);
    if (now < 0) return;
    if (event.key === "Enter" || event.key === " ") activate(points[now]);
    else {
      const moves = { ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1, Home: 0, End: circles.length - 1 };
      if (!(event.key in moves)) return;
      const next = circles[moves[event.key]];
      if (next) {
        circles[now].setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
      }
    }
    event.preventDefault();
  });

  function update() {
    if (!methods().includes(state.reg)) state.reg = methods().includes(data.method) ? data.method : methods()[0];
    collect();
    const options = data.benchmarks.map(({ name }) => name);
    byId("scatter-controls").replaceChildren(
      select("Metric", metricOptions(), state.metric, pick("metric")),
      select("Backbone", paired, state.backbone, pick("backbone")),
      select("Compared", methods(), state.reg, pick("reg")),
      select("Benchmark", [[ALL, "all"], ...options], state.benchmark, pick("benchmark")),
      select("Case", data.cases, state.testCase, pick("testCase")));
    readout.textContent = "Point at an image to read its scores.";
    byId("scatter-scores").replaceChildren();
    const gains = points.map(({ x, y }) => gain(y - x, state.metric));
    byId("scatter-status").textContent = points.length
      ? `${state.reg} is ${isNeutral(state.metric) ? "higher" : "better"} on ${gains.filter((value) => value > 0).length} of ${points.length} images; ` +
        `median difference in ${data.metrics[state.metric].label}: ${shown(median(points.map(({ x, y }) => y - x)), state.metric, true)}.`
      : "No image has both scores.";
    draw();
  }

  /** Sets one choice; the control that was used keeps the focus, although all are drawn anew. */
  const pick = (key) => (value) => {
    const place = [...byId("scatter-controls").querySelectorAll("select")].indexOf(document.activeElement);
    state[key] = value;
    update();
    byId("scatter-controls").querySelectorAll("select")[place]?.focus();
  };

  update();
  new ResizeObserver(draw).observe(byId("scatter-plot"));
}
