"use strict";
// Lines of a monologue with the verifier's marks. Foreign text enters by textContent alone.
const MARKS = { confirmed: "✓", contradicted: "✗", partly: "≈", runs: "→", unchecked: "·" };

function make(tag, attributes = {}, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

// A line and, below it, what the run says instead: `wrong` holds [claim, truth] pairs.
function markedLine(text, verdict, wrong = []) {
  const line = make("div", verdict ? { class: verdict } : {});
  line.append(make("b", {}, verdict ? MARKS[verdict] : ""), make("span", {}, text));
  const notes = wrong.map(([claim, truth]) => {
    const note = make("div", { class: "truth" });
    note.append(make("b"), make("span", {}, `${claim} — in the run: ${truth}`));
    return note;
  });
  return [line, ...notes];
}
