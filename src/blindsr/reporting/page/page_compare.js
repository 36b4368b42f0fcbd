// The image comparison: two pictures under a slider, and a strip of the same crop from every model.

/** Starts it; returns {has, open}: `open` shows an image, two models against each other, and takes the focus there. */
function comparison() {
  const LR = " lr", HR = " hr"; // names that no model has
  const root = byId("compare"), viewer = byId("viewer"), at = byId("viewer-at"), strip = byId("strip");
  const method = modelOf(backbones[0], data.method);
  const state = {
    entry: gallery[0], testCase: data.cases[0], seen: false,
    left: (data.method === data.baseline ? null : baselineOf(method))?.name ?? BICUBIC, right: method.name,
  };
  const crop = () => state.entry.window.slice(2);
  const pictured = (name) => gallery.every((entry) => Object.values(entry.cases).every(({ models }) => name in models));
  const sides = [HR, LR, ...data.models.map(({ name }) => name).filter(pictured)]; // none_rescaled is computed of scores
  const pictures = () => state.entry.cases[state.testCase];

  function titleOf(name) {
    return { [HR]: "HR", [LR]: "LR" }[name] ?? nameOf(modelNamed(name));
  }

  function pathOf(name) {
    return { [HR]: state.entry.hr, [LR]: pictures().lr }[name] ?? pictures().models[name].picture;
  }

  /** Of the whole image, in dB; null for HR and LR. */
  function psnr(name) {
    return pictures().models[name]?.psnr_db ?? null;
  }

  /** The picture, or what is not there in words. */
  function picture(name, loading) {
    const path = pathOf(name);
    const alt = `${state.entry.image}, ${state.testCase}, ${titleOf(name)}`;
    const image = el("img", { loading, alt, draggable: "false", class: name === LR ? "lr" : null });
    image.addEventListener("error", () => image.replaceWith(el("p", { class: "absent" }, `not there: ${path}`)));
    image.src = inside.has(path) ? `data:image/webp;base64,${inside.get(path)}` : encodeURI(path).replace(/[?#]/g, encodeURIComponent);
    return image;
  }

  function caption(name) {
    const score = psnr(name), title = el("span", {}, titleOf(name));
    if (score === null) return [title, name === HR ? "original" : "input"];
    const baseline = baselineOf(modelNamed(name));
    const change = baseline && baseline.name !== name ? ` (${shown(score - psnr(baseline.name), "psnr_db", true)})` : "";
    return [title, `${shown(score, "psnr_db")} dB${change}`];
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
    const { entry } = state, [top, left, height, width] = entry.window;
    const options = sides.map((name) => [name, titleOf(name)]);
    const images = gallery.map((other, number) => [String(number), `${other.benchmark}: ${other.image}`]);
    fill(byId("pick-image"), images, String(gallery.indexOf(entry)));
    fill(byId("pick-testCase"), data.cases, state.testCase);
    fill(byId("pick-left"), options, state.left);
    fill(byId("pick-right"), options, state.right);
    byId("about-image").textContent = `Chosen by rule: ${entry.rule}, ${shown(entry.gain_db, "psnr_db", true)} dB. ` +
      `Crop of ${width} × ${height} px, ${top} px from the top and ${left} px from the left.`;
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

  byId("pick-image").addEventListener("change", (event) => { state.entry = gallery[event.target.value]; zoom.reset(); draw(); });
  for (const key of ["testCase", "left", "right"]) {
    byId(`pick-${key}`).addEventListener("change", (event) => { state[key] = event.target.value; draw(); });
  }
  at.addEventListener("input", slide);

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
    has: (benchmark, image) => Boolean(find(benchmark, image)),
    pictured,
    open(benchmark, image, testCase, left, right) {
      Object.assign(state, { entry: find(benchmark, image), testCase, left, right });
      zoom.reset();
      look();
      root.scrollIntoView();
      at.focus({ preventScroll: true });
    },
  };
}
