// <ganmusic-divergence>: two sliders move a generator's distribution q; p, q and the best discriminator D* are
// drawn, and the value V(D*, G) and the Jensen-Shannon divergence are written beside them.
//
// A notebook's output holds this element round a table that teaches without any script. Where this module is
// loaded, the figure takes the table's place. It needs nothing else and stores nothing.
//
// Attributes, with what they are by default:
//   means="60 64 67"  shares="0.5 0.2 0.3"  width="0.4"    p: normal curves at these MIDI pitches
//   mean="66"  spread="3"                                  q: one normal curve, where the sliders begin

const LOW = 48;
const HIGH = 84;
const STEP = 0.02;
// The integrals reach further than the picture: a wide q has tails outside it.
const PITCHES = Array.from({ length: Math.round(108 / STEP) + 1 }, (_, i) => 12 + i * STEP);
const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];

// The picture's own units, and the places of its two panels.
const SIZE = { width: 760, height: 400, left: 56, right: 14 };
const UPPER = { top: 30, bottom: 205, high: 0.55 };
const LOWER = { top: 255, bottom: 355, high: 1 };

const STYLE = `
ganmusic-divergence { --p: #0072b2; --q: #c44e00; --d: #00795a; --focus: #0057b8;
  display: block; max-width: 800px; margin: 1em 0; font-variant-numeric: tabular-nums; }
html[data-theme="dark"] ganmusic-divergence { --p: #56b4e9; --q: #ff9a4d; --d: #2fd0a0; --focus: #8cc2ff; }
ganmusic-divergence svg { display: block; width: 100%; height: auto; }
ganmusic-divergence .sliders { display: grid; grid-template-columns: auto 1fr 7.5em; gap: 0.4rem 0.8rem; align-items: center; }
ganmusic-divergence input { width: 100%; min-height: 2rem; accent-color: var(--q); }
ganmusic-divergence input:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
ganmusic-divergence .numbers { margin: 0.6rem 0 0; }
`;

const normal = (x, mean, sd) => Math.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * Math.sqrt(2 * Math.PI));
const numbers = (text) => text.trim().split(/[\s,]+/).map(Number);

/** D*, the value and the divergence of two densities sampled at PITCHES. */
export function compare(p, q) {
  const best = p.map((density, i) => {
    const sum = density + q[i];
    // Where neither has any notes, every answer is as good: 1/2 keeps the curve quiet.
    return sum > 1e-12 ? density / sum : 0.5;
  });
  let value = 0;
  for (let i = 0; i < p.length; i += 1) {
    if (p[i] > 1e-300) value += p[i] * Math.log(p[i] / (p[i] + q[i])) * STEP;
    if (q[i] > 1e-300) value += q[i] * Math.log(q[i] / (p[i] + q[i])) * STEP;
  }
  return { best, value, divergence: (value + Math.log(4)) / 2 };
}

const across = (pitch) => SIZE.left + ((pitch - LOW) / (HIGH - LOW)) * (SIZE.width - SIZE.left - SIZE.right);
const up = (value, panel) => panel.bottom - (Math.min(value, panel.high) / panel.high) * (panel.bottom - panel.top);

function path(values, panel) {
  const points = [];
  PITCHES.forEach((pitch, i) => {
    // Every third point is enough for the eye.
    if (pitch >= LOW && pitch <= HIGH && i % 3 === 0) points.push(`${across(pitch).toFixed(1)},${up(values[i], panel).toFixed(1)}`);
  });
  return `M${points.join("L")}`;
}

function frame(panel, ticks, label) {
  const text = 'fill="currentColor" font-size="13"';
  const right = SIZE.width - SIZE.right;
  const marks = ticks.map(
    (t) =>
      `<line x1="${SIZE.left - 5}" x2="${SIZE.left}" y1="${up(t, panel)}" y2="${up(t, panel)}" stroke="currentColor"/>` +
      `<text x="${SIZE.left - 9}" y="${up(t, panel) + 4}" text-anchor="end" ${text}>${t}</text>`,
  );
  for (let pitch = LOW; pitch <= HIGH; pitch += 4) {
    marks.push(
      `<line x1="${across(pitch)}" x2="${across(pitch)}" y1="${panel.bottom}" y2="${panel.bottom + 5}" stroke="currentColor"/>` +
        `<text x="${across(pitch)}" y="${panel.bottom + 20}" text-anchor="middle" ${text}>${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}</text>`,
    );
  }
  return (
    `<path d="M${SIZE.left},${panel.top}V${panel.bottom}H${right}" fill="none" stroke="currentColor"/>${marks.join("")}` +
    `<text x="${SIZE.left + 8}" y="${panel.top - 10}" ${text}>${label}</text>`
  );
}

class GanmusicDivergence extends HTMLElement {
  connectedCallback() {
    if (this.sliders) return;
    const read = (name, value) => numbers(this.getAttribute(name) ?? value);
    const [means, shares, [width]] = [read("means", "60 64 67"), read("shares", "0.5 0.2 0.3"), read("width", "0.4")];
    this.real = PITCHES.map((x) => means.reduce((sum, mean, i) => sum + shares[i] * normal(x, mean, width), 0));
    this.build(read("mean", "66")[0], read("spread", "3")[0]);
    this.draw();
  }

  build(mean, spread) {
    const line = (name, dash = "") => `<path class="${name}" fill="none" stroke="var(--${name})" stroke-width="2.5" ${dash}/>`;
    const key = (x, name, words) =>
      `<line x1="${x}" x2="${x + 26}" y1="20" y2="20" stroke="var(--${name})" stroke-width="2.5" ${name === "q" ? 'stroke-dasharray="7 4"' : ""}/>` +
      `<text x="${x + 32}" y="24" fill="currentColor" font-size="13">${words}</text>`;
    const half = up(0.5, LOWER);
    const slider = (name, words, low, high, step, value) => {
      const id = `divergence-${name}-${document.querySelectorAll("ganmusic-divergence input").length}`;
      return (
        `<label for="${id}">${words}</label><input type="range" id="${id}" name="${name}" min="${low}" max="${high}" ` +
        `step="${step}" value="${value}"><output for="${id}"></output>`
      );
    };
    this.innerHTML =
      `<style>${STYLE}</style><svg viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="img">` +
      frame(UPPER, [0, 0.2, 0.4], "density") +
      frame(LOWER, [0, 0.5, 1], "the best discriminator’s answer, D*") +
      `<line x1="${SIZE.left}" x2="${SIZE.width - SIZE.right}" y1="${half}" y2="${half}" stroke="currentColor" stroke-dasharray="2 5" opacity="0.6"/>` +
      key(330, "p", "p: real melodies") +
      key(540, "q", "q: the generator") +
      line("p") +
      line("q", 'stroke-dasharray="7 4"') +
      line("d") +
      "</svg>" +
      `<div class="sliders">${slider("mean", "mean of q", LOW, HIGH, 0.5, mean)}${slider("spread", "spread of q", 0.4, 8, 0.1, spread)}</div>` +
      '<p class="numbers" aria-live="polite"></p>';
    this.sliders = Object.fromEntries([...this.querySelectorAll("input")].map((input) => [input.name, input]));
    this.addEventListener("input", () => this.draw());
  }

  draw() {
    const mean = Number(this.sliders.mean.value);
    const spread = Number(this.sliders.spread.value);
    const fake = PITCHES.map((x) => normal(x, mean, spread));
    const { best, value, divergence } = compare(this.real, fake);
    this.querySelector("path.p").setAttribute("d", path(this.real, UPPER));
    this.querySelector("path.q").setAttribute("d", path(fake, UPPER));
    this.querySelector("path.d").setAttribute("d", path(best, LOWER));
    const note = `${NAMES[Math.round(mean) % 12]}${Math.floor(Math.round(mean) / 12) - 1}`;
    const [written, wide] = [`${mean.toFixed(1)} (${note})`, `${spread.toFixed(1)} semitones`];
    this.sliders.mean.nextElementSibling.textContent = written;
    this.sliders.mean.setAttribute("aria-valuetext", written);
    this.sliders.spread.nextElementSibling.textContent = spread.toFixed(1);
    this.sliders.spread.setAttribute("aria-valuetext", wide);
    // A minus sign, not a hyphen; and no "−0.000" where the two do not meet at all.
    const shown = Math.max(0, -value).toFixed(3);
    const text = `V(D*, G) = ${Number(shown) ? "−" : ""}${shown}, JSD = ${divergence.toFixed(3)}`;
    this.querySelector(".numbers").innerHTML =
      `<strong>${text}</strong> &nbsp; (equal distributions: V = −1.386, JSD = 0; nothing in common: V = 0, JSD = 0.693)`;
    this.querySelector("svg").setAttribute(
      "aria-label",
      `Densities over pitch. Real melodies p; the generator q, centred on ${written} with a spread of ${wide}; the best discriminator D* below. ${text}.`,
    );
  }
}

customElements.define("ganmusic-divergence", GanmusicDivergence);
