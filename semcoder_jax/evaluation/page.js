// The browser of generations. Only rows that are seen are in the document, and only the block of
// bodies that holds the chosen generation is unpacked. Text of a model enters by textContent alone.
(() => {
  const ROW = 48;
  const STEPS = ["", "no wrong step", "wrong step", "nothing to check", "cut short"];
  const at = (id) => document.getElementById(id);
  const { fields, rows, block } = JSON.parse(at("index").textContent);
  const names = Object.keys(fields); // model, benchmark, variant, mode, outcome
  const TASK = names.length, SAMPLE = TASK + 1, STEP = TASK + 2, KIND = TASK + 3, ANSWER = TASK + 4;
  const chosen = Object.fromEntries([...names, "step", "kind"].map((name) => [name, new Set()]));
  // Both modes judge the same tasks, so their generations are never counted together.
  const perMode = fields.mode.length > 1;
  let shown = [], selected = -1, asked = 0;
  if (perMode) chosen.mode.add(fields.mode.includes("fixed") ? "fixed" : fields.mode[0]);

  // ---- filters

  const value = (row, name) => {
    if (name === "step") return STEPS[row[STEP]];
    if (name === "kind") return row[KIND];
    return fields[name][row[names.indexOf(name)]];
  };
  const matches = (row, but) => {
    const words = at("query").value.trim().toLowerCase();
    if (words && !`${row[TASK]}#${row[SAMPLE]} ${row[ANSWER]}`.toLowerCase().includes(words)) return false;
    return Object.entries(chosen).every(
      ([name, picked]) => name === but || !picked.size || picked.has(value(row, name)));
  };
  const LABELS = { variant: "Asked", step: "Monologue", kind: "First wrong" };

  function drawFilters() {
    const groups = at("groups");
    const focus = document.activeElement && document.activeElement.dataset.chip;
    groups.replaceChildren();
    for (const [name, picked] of Object.entries(chosen)) {
      const all = new Map(), left = new Map();
      for (const row of rows) {
        const its = value(row, name);
        if (its) all.set(its, (all.get(its) || 0) + 1);
      }
      if (all.size < 2 && name !== "kind" && name !== "outcome") continue;
      if (!all.size) continue;
      for (const row of rows) if (matches(row, name)) left.set(value(row, name), (left.get(value(row, name)) || 0) + 1);
      const chips = make("div");
      for (const [its] of [...all].sort((a, b) => b[1] - a[1])) {
        const one = perMode && name === "mode";
        const chip = make("button", {
          class: "chip", type: "button", "data-chip": `${name}/${its}`,
          ...(one ? { role: "radio", "aria-checked": picked.has(its) } : { "aria-pressed": picked.has(its) }),
        }, its);
        chip.append(make("small", {}, (left.get(its) || 0).toLocaleString("en")));
        chip.onclick = () => {
          if (one) picked.clear();
          picked.has(its) ? picked.delete(its) : picked.add(its);
          filter();
        };
        chips.append(chip);
      }
      const group = make("div", { class: "group", role: perMode && name === "mode" ? "radiogroup" : "group" });
      group.append(make("span", {}, LABELS[name] || name[0].toUpperCase() + name.slice(1)), chips);
      groups.append(group);
    }
    if (focus) [...groups.querySelectorAll("button")].find((b) => b.dataset.chip === focus)?.focus();
  }

  function filter() {
    shown = rows.map((_, i) => i).filter((i) => matches(rows[i]));
    const [mode] = perMode ? chosen.mode : [];
    const total = rows.filter((row) => !mode || value(row, "mode") === mode).length;
    const of = shown.length === total ? "" : ` of ${total.toLocaleString("en")}`;
    at("count").textContent = `${shown.length.toLocaleString("en")}${of} generations${mode ? `, ${mode}` : ""}`;
    at("list").scrollTop = 0;
    drawFilters();
    drawList();
    if (!shown.includes(selected)) select(shown.length ? shown[0] : -1, false);
  }

  // ---- list

  function drawList() {
    const list = at("list");
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / ROW) + 9);
    const space = make("div", { style: `height:${shown.length * ROW}px` });
    for (let n = first; n < last; n++) {
      const row = rows[shown[n]], right = value(row, "outcome") === "right";
      const line = make("div", {
        class: "row", role: "option", style: `top:${n * ROW}px`, "aria-selected": shown[n] === selected,
      });
      line.append(make("i", { class: right ? "right" : "wrong" }, right ? "✓" : "✗"));
      line.append(make("b", {}, row[SAMPLE] ? `${row[TASK]} · sample ${row[SAMPLE]}` : row[TASK]));
      const told = ["benchmark", "variant", "mode"].map((name) => value(row, name));
      line.append(make("em", {}, told.filter((text, i) => fields[["benchmark", "variant", "mode"][i]].length > 1).join(" · ") || row[ANSWER]));
      line.append(make("span", {}, right ? STEPS[row[STEP]] : value(row, "outcome")));
      line.onclick = () => select(shown[n], false);
      space.append(line);
    }
    if (!shown.length) space.append(make("div", { class: "empty" }, "Nothing matches these filters."));
    list.replaceChildren(space);
  }

  function move(by) {
    const n = shown.indexOf(selected) + by;
    if (n >= 0 && n < shown.length) select(shown[n], true);
  }

  // ---- one generation

  const unpacked = new Map();
  async function body(i) {
    const n = Math.floor(i / block);
    if (!unpacked.has(n)) {
      const bytes = Uint8Array.from(atob(at(`block-${n}`).textContent.trim()), (c) => c.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      if (unpacked.size > 8) unpacked.clear();
      unpacked.set(n, await new Response(stream).json());
    }
    return unpacked.get(n)[i % block];
  }

  async function select(i, reveal) {
    const turn = ++asked;
    selected = i;
    if (reveal) {
      const list = at("list"), top = shown.indexOf(i) * ROW;
      if (top < list.scrollTop) list.scrollTop = top;
      if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    }
    drawList();
    const detail = at("detail");
    if (i < 0) return detail.replaceChildren(make("div", { class: "empty" }, "No generation chosen."));
    history.replaceState(null, "", `#${i}`);
    const told = await body(i);
    if (turn !== asked) return;
    const row = rows[i], right = value(row, "outcome") === "right";
    const badges = make("div", { class: "badges" });
    badges.append(make("span", { class: `badge ${right ? "right" : "wrong"}` }, value(row, "outcome")));
    for (const name of ["model", "benchmark", "variant", "mode"]) badges.append(make("span", { class: "badge" }, value(row, name)));
    if (row[STEP]) badges.append(make("span", { class: `badge ${row[STEP] === 1 ? "right" : row[STEP] === 2 ? "wrong" : ""}` }, STEPS[row[STEP]]));
    const parts = [make("h3", {}, row[SAMPLE] ? `${row[TASK]} · sample ${row[SAMPLE]}` : row[TASK]), badges];
    const section = (title, text) => {
      const box = make("section");
      box.append(make("h4", {}, title), make("pre", {}, text));
      return box;
    };
    if (told.detail) parts.push(section("Failing test", told.detail));
    if (told.expected || told.answer !== null) {
      const pair = make("div", { class: "pair" });
      pair.append(section("Answer", told.answer === null ? "none could be read" : told.answer || " "));
      if (told.expected) pair.append(section("Expected", told.expected));
      parts.push(pair);
    }
    const generation = make("section");
    generation.append(make("h4", {}, "Generation"), monologue(told));
    const beside = make("div", { class: "pair wide" });
    beside.append(generation, section("Question", told.question));
    parts.push(beside);
    detail.replaceChildren(...parts);
    detail.scrollTop = 0;
  }

  function monologue(told) {
    const box = make("pre", { class: "told" });
    const marks = new Map(told.marks), wrong = new Map();
    for (const [line, , text, verdict, truth] of told.claims) {
      if (verdict === "contradicted") wrong.set(line, [...(wrong.get(line) || []), [text, truth]]);
    }
    told.text.split("\n").forEach((text, n) => {
      box.append(...markedLine(text, marks.get(n + 1), wrong.get(n + 1)));
    });
    return box;
  }

  at("query").oninput = filter;
  at("list").onscroll = drawList;
  addEventListener("resize", drawList);
  addEventListener("keydown", (event) => {
    if (event.target === at("query") || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    const inDetail = at("detail").contains(event.target) && event.key.startsWith("Arrow");
    if (by && !inDetail) { event.preventDefault(); move(by); }
  });
  const linked = Number.parseInt(location.hash.slice(1), 10);
  if (rows[linked]) selected = linked;
  if (rows[linked] && perMode) chosen.mode = new Set([value(rows[linked], "mode")]);
  filter();
  if (rows.length) select(selected < 0 ? 0 : selected, true);
})();
