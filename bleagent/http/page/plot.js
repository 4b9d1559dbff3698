// Small plots over time, as inline SVG.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 48;
const PAD = 4;

export class Plot {
  #points = [];
  #most;
  #unit;
  #digits;
  #least;
  #line;

  // `unit` and `digits` name a value; `least` is the smallest span of the vertical axis; `line`: the
  // points are one thing that changes, and not several that happened.
  constructor(title, { most, least, line, unit, digits }) {
    this.#most = most;
    this.#least = least;
    this.#unit = unit;
    this.#digits = digits;
    this.#line = line;
    this.element = document.createElement("figure");
    this.element.hidden = true;
    this.caption = document.createElement("figcaption");
    this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    this.element.append(this.caption, this.svg);
    this.title = title;
  }

  // `at`: milliseconds.
  add(at, value) {
    this.#points.push({ at, value });
    this.#points.sort((a, b) => a.at - b.at);
    if (this.#points.length > this.#most) this.#points.shift();
    this.#draw();
  }

  #draw() {
    const points = this.#points;
    if (points.length < 2) return; // one is no course of time
    this.element.hidden = false;
    const values = points.map((one) => one.value);
    const low = Math.min(...values), high = Math.max(...values);
    const span = Math.max(high - low, this.#least);
    const middle = (high + low) / 2;
    const from = points[0].at, during = points.at(-1).at - from || 1;
    const x = (at) => PAD + ((at - from) / during) * (WIDTH - 2 * PAD);
    const y = (value) => HEIGHT / 2 - ((value - middle) / span) * (HEIGHT - 2 * PAD);
    const places = points.map((one) => [x(one.at).toFixed(1), y(one.value).toFixed(1)]);
    const drawn = this.#line
      ? [svg("polyline", { points: places.map((one) => one.join(",")).join(" ") })]
      : places.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.5 }));
    const [cx, cy] = places.at(-1);
    this.svg.replaceChildren(...drawn, svg("circle", { cx, cy, r: 3.5, class: "newest" }));
    const [least, most, last] = [low, high, values.at(-1)].map((one) => one.toFixed(this.#digits));
    const range = least === most ? least : `${least} to ${most}`;
    this.caption.textContent = `${this.title} ${range} ${this.#unit}, last ${last}`;
    this.svg.setAttribute("aria-label", this.caption.textContent);
  }
}

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
