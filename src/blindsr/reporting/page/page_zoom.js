// One zoom for all pictures: three custom properties on the comparison, which every picture's transform reads.

/** `size()`: height and width of the crop in HR pixels; `changed(view)` is called after every move. */
function zoomer(root, strip, size, changed) {
  const view = { zoom: 1, x: 0.5, y: 0.5 }; // x, y: the point of the crop in the middle of each frame, in [0, 1]
  const most = () => Math.max(1, Math.min(...size()) / 4); // four pixels across
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function draw() {
    view.zoom = clamp(view.zoom, 1, most());
    const half = 0.5 / view.zoom;
    view.x = clamp(view.x, half, 1 - half);
    view.y = clamp(view.y, half, 1 - half);
    root.style.setProperty("--zoom", view.zoom);
    root.style.setProperty("--x", `${(0.5 - view.x * view.zoom) * 100}%`);
    root.style.setProperty("--y", `${(0.5 - view.y * view.zoom) * 100}%`);
    root.classList.toggle("zoomed", view.zoom > 1);
    sharpen();
    changed(view);
  }

  /** Pixels get hard edges where they are at least as large as the screen's; below that they would alias. */
  function sharpen() {
    for (const part of [byId("viewer"), strip]) {
      const frame = part.querySelector(".frame") ?? part;
      const scale = (frame.clientWidth * view.zoom * window.devicePixelRatio) / size()[1];
      part.classList.toggle("pixels", scale >= 1);
    }
  }

  /** Zoom by a factor and keep the point at (u, v) of the frame where it is. */
  function zoomAt(factor, u = 0.5, v = 0.5) {
    const [x, y] = [view.x + (u - 0.5) / view.zoom, view.y + (v - 0.5) / view.zoom];
    view.zoom = clamp(view.zoom * factor, 1, most());
    view.x = x - (u - 0.5) / view.zoom;
    view.y = y - (v - 0.5) / view.zoom;
    draw();
  }

  function pan(dx, dy) {
    view.x += dx;
    view.y += dy;
    draw();
  }

  function reset() {
    Object.assign(view, { zoom: 1, x: 0.5, y: 0.5 });
    draw();
  }

  const frameAt = (event) => event.target.closest(".frame, .viewer");

  root.addEventListener("keydown", (event) => {
    const key = event.key;
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
    if (key === "+" || key === "=") zoomAt(Math.SQRT2);
    else if (key === "-" || key === "_") zoomAt(Math.SQRT1_2);
    else if (key === "0") reset();
    else if (event.target === strip && key.startsWith("Arrow")) {
      const step = (axis) => (event.shiftKey ? 1 / size()[axis] : 0.15 / view.zoom);
      if (key === "ArrowLeft") pan(-step(1), 0);
      if (key === "ArrowRight") pan(step(1), 0);
      if (key === "ArrowUp") pan(0, -step(0));
      if (key === "ArrowDown") pan(0, step(0));
    } else return;
    event.preventDefault();
  });

  // Without the focus the wheel belongs to the page, and at either end of the zoom as well.
  root.addEventListener("wheel", (event) => {
    const frame = frameAt(event), out = event.deltaY > 0;
    const focused = strip === document.activeElement || byId("viewer").contains(document.activeElement);
    if (!frame || !(focused || event.ctrlKey)) return;
    if (!event.ctrlKey && (out ? view.zoom <= 1 : view.zoom >= most())) return;
    event.preventDefault();
    const box = frame.getBoundingClientRect();
    zoomAt(Math.exp(-clamp(event.deltaY, -100, 100) / 300), (event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height);
  }, { passive: false });

  const fingers = new Map(); // pointer -> where it is
  const middle = () => {
    const at = [...fingers.values()];
    return { x: mean(at.map((p) => p.x)), y: mean(at.map((p) => p.y)), gap: at.length < 2 ? 0 : Math.hypot(at[0].x - at[1].x, at[0].y - at[1].y) };
  };
  strip.addEventListener("pointerdown", (event) => {
    if (!frameAt(event) || event.button) return;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    strip.setPointerCapture(event.pointerId);
    strip.focus({ preventScroll: true });
    event.preventDefault();
  });
  strip.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = middle();
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = middle(), frame = strip.querySelector(".frame").getBoundingClientRect();
    pan((before.x - after.x) / (frame.width * view.zoom), (before.y - after.y) / (frame.height * view.zoom));
    if (before.gap && after.gap) zoomAt(after.gap / before.gap);
  });
  for (const end of ["pointerup", "pointercancel"]) strip.addEventListener(end, (event) => fingers.delete(event.pointerId));
  strip.addEventListener("dblclick", (event) => {
    const box = frameAt(event)?.getBoundingClientRect();
    if (box) zoomAt(2, (event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height);
  });

  byId("zoom-in").addEventListener("click", () => zoomAt(Math.SQRT2));
  byId("zoom-out").addEventListener("click", () => zoomAt(Math.SQRT1_2));
  byId("zoom-reset").addEventListener("click", reset);
  window.addEventListener("resize", sharpen);
  return { draw, reset };
}
