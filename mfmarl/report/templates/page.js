"use strict";

const element = (id) => document.getElementById(id);

/* The bytes of a packed element, see pack in page.py. */
async function unpack(name) {
  const packed = Uint8Array.from(atob(element(`packed-${name}`).textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const unpackText = async (name) => new TextDecoder().decode(await unpack(name));

/* A new element with text and attributes. */
function make(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/* Commands, a line each, that break between words alone; as commands_of in macros.html. */
function showCommands(place, text) {
  place.replaceChildren(...text.split("\n").map((line) => {
    const code = make("code");
    line.split(" ").forEach((word, index) => code.append(index ? " " : "", make("span", word)));
    return code;
  }));
}

/* A labelled select; its value is the index of what is chosen. */
function choice(id, label, values, onChange) {
  const box = make("div");
  const select = make("select", "", { id });
  values.forEach((value, index) => select.append(make("option", value, { value: index })));
  select.addEventListener("change", onChange);
  box.append(make("label", label, { for: id }), select);
  return box;
}

/* A colour of the page's theme. */
const themed = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const dark = matchMedia("(prefers-color-scheme: dark)");

/* On a dark page a colour is mixed with white, so that it stands out as it does on a light one. */
function visible(colour) {
  if (!dark.matches) return colour;
  const parts = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
  const mixed = parts.map((part) => Math.round(0.6 * part + 0.4 * 255));
  return `#${mixed.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

/* Three significant digits. */
const shown = (value) => (value === null || Number.isNaN(value) ? "–" : Number(value.toPrecision(3)).toLocaleString("en"));

/* Calls `step` so many times a second while it returns true; returns what starts, stops and tells. */
function player(step, perSecond, onChange) {
  let playing = false, last = 0;
  function tick(now) {
    if (!playing) return;
    if (now - last >= 1000 / perSecond()) {
      last = now;
      if (!step()) return set(false);
    }
    requestAnimationFrame(tick);
  }
  function set(on) {
    if (playing === on) return;
    playing = on;
    onChange(playing);
    if (playing) requestAnimationFrame(tick);
  }
  return { set, toggle: () => set(!playing) };
}
