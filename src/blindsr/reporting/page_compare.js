// The image comparison: two pictures under a slider, and a strip of the same crop from every model.

/** Starts it; returns {has, open}: `open` shows an image, two models against each other, and takes the focus there. */
function comparison() {
  const LR = " lr", HR = " hr"; // names that no model has
  const root = byId("compare"), viewer = byId("viewer"), at = byId("viewer-at"), strip = byId("strip");
  const state = { entry: gallery[0], testCase: null, left: null, right: null, seen: false };
  const crop = () => state.entry.window?.slice(2) ?? [256, 256];

  const casesOf = (entry) => Object.keys(entry.cases).sort((a, b) => data.cases.indexOf(a) - data.cases.indexOf(b));

  /** Models of the run, and others that only have pictures. */
  function models() {
    const names = unique([...data.models.map(({ name }) => name), ...Object.keys(state.entry.cases[state.testCase]?.models ?? {})]);
    return names.map((name) => data.models.find((model) => model.name === name) ?? { name, backbone: name, reg: "" });
  }

  function titleOf(name) {
    if (name === HR) return "HR";
    if (name === LR) return "LR";
    return nameOf(models().find((model) => model.name === name));
  }

  function pathOf(name) {
    const pictures = state.entry.cases[state.testCase];
    return (name === HR ? state.entry.hr : name === LR ? pictures?.lr : pictures?.models?.[name]) ?? null;
  }

  function psnr(name) {
    const model = data.models.find((other) => other.name === name);
    return model && "psnr_db" in data.metrics ? scoreOf("psnr_db", model, state.entry.benchmark, state.testCase, state.entry.image) : null;
  }

  /** The picture, or what is not there in words. */
  function picture(name, loading) {
    const path = pathOf(name), missing = (why) => el("p", { class: "absent" }, why);
    if (path === null) return missing(`no picture of ${titleOf(name)}`);
    const alt = `${state.entry.image}, ${state.testCase}, ${titleOf(name)}`;
    const image = el("img", { loading, alt, draggable: "false", class: name === LR ? "lr" : null });
    image.addEventListener("error", () => image.replaceWith(missing(`not there: ${path}`)));
    image.src = encodeURI(path).replace(/[?#]/g, encodeURIComponent);
    return image;
  }

  function caption(name) {
    const score = psnr(name), model = data.models.find((other) => other.name === name);
    const baseline = model && baselineOf(model);
    const base = baseline && baseline.name !== name ? psnr(baseline.name) : null;
    const change = score !== null && base !== null ? ` (${shown(score - base, "psnr_db", true)})` : "";
    const fallback = name === HR ? "original" : name === LR ? "input" : "no score";
    return [el("span", {}, titleOf(name)), score === null ? fallback : `${shown(score, "psnr_db")} dB${change}`];
  }

  const zoom = zoomer(root, strip, crop, (view) => {
    const [height, width] = crop().map((length) => length / view.zoom);
    const size = (length) => (length < 10 ? length.toFixed(1) : Math.round(length));
    byId("zoom-state").textContent = `${view.zoom.toFixed(1)}×: ${size(width)} × ${size(height)} px`;
  });

  function slide() {
    viewer.style.setProperty("--at", `${at.value}%`);
    at.setAttribute("aria-valuetext", `${at.value} % ${titleOf(state.left)}, ${100 - at.value} % ${titleOf(state.right)}`);
  }

  function draw() {
    const { entry } = state, [height, width] = crop();
    const cases = casesOf(entry);
    if (!cases.includes(state.testCase)) state.testCase = cases[0] ?? null;
    const sides = [HR, LR, ...models().map(({ name }) => name)];
    for (const side of ["left", "right"]) if (!sides.includes(state[side])) state[side] = HR;
    fill(byId("pick-image"), gallery.map((other, number) => [String(number), `${other.benchmark}: ${other.image}`]), String(gallery.indexOf(entry)));
    fill(byId("pick-case"), cases, state.testCase);
    const options = sides.map((name) => [name, titleOf(name)]);
    fill(byId("pick-left"), options, state.left);
    fill(byId("pick-right"), options, state.right);
    const gained = typeof entry.gain_db === "number" ? `, ${shown(entry.gain_db, "psnr_db" in data.metrics ? "psnr_db" : metricNames[0], true)} dB` : "";
    const place = entry.window ? ` Crop of ${width} × ${height} px, ${entry.window[0]} px from the top and ${entry.window[1]} px from the left.` : "";
    byId("about-image").textContent = `${entry.rule ? `Chosen by rule: ${entry.rule}${gained}.` : ""}${place}`;
    root.style.setProperty("--ratio", `${width} / ${height}`);
    root.style.setProperty("--stage", `${width * Math.max(1, Math.floor(600 / width))}px`); // whole screen pixels
    if (!state.seen) return;
    byId("viewer-left").replaceChildren(picture(state.left, "eager"));
    byId("viewer-right").replaceChildren(picture(state.right, "eager"));
    byId("name-left").replaceChildren(label(state.left));
    byId("name-right").replaceChildren(label(state.right));
    strip.replaceChildren(...sides.map((name) => el("figure", { class: [state.left, state.right].includes(name) ? "chosen" : null, "data-model": name.trim() },
      el("div", { class: "frame" }, picture(name, "lazy")), el("figcaption", {}, ...caption(name)))));
    slide();
    zoom.draw();
  }

  const label = (name) => {
    const score = psnr(name);
    return score === null ? titleOf(name) : `${titleOf(name)}, ${shown(score, "psnr_db")} dB`;
  };

  function first() {
    const trained = data.models.filter((model) => !isBicubic(model));
    const method = trained.find((model) => model.reg === "rff") ?? trained.at(-1);
    state.left = (method && baselineOf(method)?.name) ?? bicubicModel?.name ?? HR;
    state.right = method?.name ?? HR;
  }

  byId("pick-image").addEventListener("change", (event) => { state.entry = gallery[event.target.value]; zoom.reset(); draw(); });
  byId("pick-case").addEventListener("change", (event) => { state.testCase = event.target.value; draw(); });
  byId("pick-left").addEventListener("change", (event) => { state.left = event.target.value; draw(); });
  byId("pick-right").addEventListener("change", (event) => { state.right = event.target.value; draw(); });
  at.addEventListener("input", slide);

  first();
  draw();
  // Pictures are loaded when the section comes near the window, and not before.
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    look();
  }, { rootMargin: "200px" }).observe(viewer);

  function look() {
    state.seen = true;
    draw();
  }

  const find = (benchmark, image) => gallery.find((entry) => entry.benchmark === benchmark && entry.image === image);
  return {
    has: (benchmark, image, testCase) => testCase in (find(benchmark, image)?.cases ?? {}),
    open(benchmark, image, testCase, left, right) {
      Object.assign(state, { entry: find(benchmark, image), testCase, left, right });
      zoom.reset();
      look();
      root.scrollIntoView();
      at.focus({ preventScroll: true });
    },
  };
}
