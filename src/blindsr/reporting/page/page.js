// What the page's parts share: the data, elements, numbers. The parts follow each other in one scope (SCRIPTS in
// page.py), and page_start.js, the last one, starts them.

const data = JSON.parse(document.getElementById("data-scores").textContent);
const gallery = JSON.parse(document.getElementById("data-gallery").textContent);
const inside = new Map(Object.entries(JSON.parse(document.getElementById("data-pictures").textContent))); // path -> WebP
const BICUBIC = "bicubic";
const HOLE = "—";

const byId = (id) => document.getElementById(id);
const unique = (values) => [...new Set(values)];

/** A new element; "on…" attributes are listeners, `null`, `undefined` and `false` ones are left out, text is never markup. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  set(node, attributes);
  node.append(...children);
  return node;
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? "" : value);
  }
}

// ---- the scores

const backbones = unique(data.models.filter((model) => !isControl(model)).map((model) => model.backbone));
const regularizers = unique(data.models.filter((model) => !isControl(model)).map((model) => model.reg));
const metricNames = Object.keys(data.metrics);

function isControl(model) {
  return model.backbone === model.reg;
}

/** One number per image, null where there is none; null if there is none at all. */
function scoresOf(metric, model, benchmark, testCase) {
  const scores = data.values[metric]?.[model.name]?.[benchmark]?.[testCase];
  return scores && scores.some((score) => score !== null) ? scores : null;
}

function modelOf(backbone, reg) {
  return data.models.find((model) => model.backbone === backbone && model.reg === reg) ?? null;
}

function modelNamed(name) {
  return data.models.find((model) => model.name === name);
}

/** The same backbone without a regularizer; null for a control and where it was not trained. */
function baselineOf(model) {
  return isControl(model) ? null : modelOf(model.backbone, data.baseline);
}

// ---- numbers

/** Mean of the numbers that are there; null of none. */
function mean(numbers) {
  let sum = 0, count = 0;
  for (const number of numbers) if (number !== null) { sum += number; count += 1; }
  return count ? sum / count : null;
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Rounded to the metric's decimals, with a true minus sign, and a plus where `signed`. */
function shown(value, metric, signed = false) {
  if (value === null) return HOLE;
  const text = Math.abs(value).toFixed(data.metrics[metric].decimals);
  const zero = Number(text) === 0;
  return (value < 0 && !zero ? "−" : signed && !zero ? "+" : "") + text;
}

/** Of more and less of a metric, neither is better by itself. */
function isNeutral(metric) {
  return data.metrics[metric].higher_is_better === null;
}

/** More than 0 where `difference` is an improvement in that metric, or more of a neutral one. */
function gain(difference, metric) {
  return data.metrics[metric].higher_is_better === false ? -difference : difference;
}

function betterSide(metric) {
  if (isNeutral(metric)) return "neither higher nor lower";
  return data.metrics[metric].higher_is_better ? "higher" : "lower";
}

function nameOf(model) {
  return isControl(model) ? model.name : `${model.backbone} ${model.reg}`;
}

// ---- controls

/** A labelled <select> of [value, text, disabled?] or plain strings. */
function select(label, options, chosen, changed) {
  const box = el("select", { onchange: () => changed(box.value) });
  fill(box, options, chosen);
  return el("label", {}, label + " ", box);
}

function fill(box, options, chosen) {
  box.replaceChildren(...options.map((option) => {
    const [value, text, disabled] = Array.isArray(option) ? option : [option, option, false];
    return el("option", { value, disabled, selected: value === chosen }, text);
  }));
}

const metricOptions = () => metricNames.map((name) => [name, data.metrics[name].label]);
