// The demo: asks the server, and draws its events as they come. Foreign text enters by textContent.
(() => {
  const FIRST_LABEL = 5; // monologues count a program's lines from L5, diagnoses from 1
  const asLabel = (label) => `L${label}`;
  const asLine = (label) => `${label - FIRST_LABEL + 1}`;
  const WORST = ["contradicted", "partly", "unchecked", "runs", "confirmed"];
  const at = (id) => document.getElementById(id);
  const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

  // ---- asking

  const running = {}; // section -> what stops its answer

  async function ask(section, kind, body, on) {
    running[section]?.abort();
    const own = (running[section] = new AbortController());
    const status = at(`${section}-status`);
    status.className = "status";
    status.textContent = "working …";
    document.body.dataset.busy = section;
    try {
      const response = await fetch(`/api/${kind}`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal: own.signal,
      });
      if (!response.ok) throw new Error(`the server answers ${response.status}`);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) {
          const event = JSON.parse(line);
          if (event.event === "error") throw new Error(event.message);
          on[event.event]?.(event);
        }
      }
      status.textContent = "";
    } catch (error) {
      const stopped = error.name === "AbortError";
      if (running[section] !== own) return false; // a later question took over
      status.textContent = stopped ? "stopped" : error.message;
      if (!stopped) status.className = "status wrong";
      return false;
    } finally {
      if (running[section] === own) {
        delete running[section];
        delete document.body.dataset.busy;
      }
    }
    return true;
  }

  // ---- programs, with the marks of the lines that a monologue cites

  class Editor {
    constructor(area, shown = asLabel) {
      this.area = area;
      this.shown = shown;
      this.gutter = area.previousElementSibling;
      this.marks = new Map(); // label -> { verdict, title }
      area.addEventListener("input", () => { this.marks.clear(); this.draw(); });
      area.addEventListener("keydown", (event) => this.indent(event));
      this.draw();
    }
    get text() { return this.area.value; }
    set text(text) { this.area.value = text; this.marks.clear(); this.draw(); }
    mark(told) {
      this.marks.clear();
      for (const { verdict, labels, wrong } of told) {
        for (const label of new Set(labels)) {
          const known = this.marks.get(label);
          if (known && WORST.indexOf(known.verdict) <= WORST.indexOf(verdict)) continue;
          this.marks.set(label, { verdict, title: wrong.map(([claim, truth]) => `${claim}: in the run ${truth}`).join("\n") });
        }
      }
      this.draw();
    }
    draw() {
      const count = this.text.split("\n").length;
      this.area.rows = Math.max(count, 4);
      this.gutter.replaceChildren(...Array.from({ length: count }, (_, n) => {
        const label = `${n + FIRST_LABEL}`, mark = this.marks.get(label);
        const line = make("div", mark ? { class: mark.verdict, title: mark.title } : {});
        line.append(make("b", {}, mark ? MARKS[mark.verdict] : ""), make("span", {}, this.shown(label)));
        return line;
      }));
    }
    indent(event) {
      if (event.key === "Escape") return this.area.blur(); // Tab leaves the field from here
      if (event.key !== "Tab" || event.shiftKey) return;
      event.preventDefault();
      this.area.setRangeText("    ", this.area.selectionStart, this.area.selectionEnd, "end");
      this.area.dispatchEvent(new Event("input"));
    }
  }

  // ---- words with their marks

  class Told {
    constructor(box, steps) { this.box = box; this.steps = steps; this.hint = [...box.children]; this.clear(); }
    clear() { this.lines = []; this.marks = new Map(); this.box.replaceChildren(...this.hint); }
    get text() { return this.lines.join("\n"); }
    add(text) {
      if (!this.lines.length) { this.box.replaceChildren(); this.push(""); }
      const [first, ...more] = text.split("\n");
      this.lines[this.lines.length - 1] += first;
      this.draw(this.lines.length);
      more.forEach((line) => this.push(line));
    }
    push(line) {
      this.lines.push(line);
      const box = make("section");
      box.onmouseenter = () => this.cite(this.marks.get([...this.box.children].indexOf(box) + 1)?.labels || []);
      box.onmouseleave = () => this.cite([]);
      this.box.append(box);
      this.draw(this.lines.length);
    }
    mark(marks) {
      for (const [line, mark] of Object.entries(marks)) {
        mark ? this.marks.set(+line, mark) : this.marks.delete(+line);
        this.draw(+line);
      }
    }
    draw(line) {
      const mark = this.marks.get(line);
      this.box.children[line - 1]?.replaceChildren(...markedLine(this.lines[line - 1], mark?.verdict, mark?.wrong));
    }
    cite(labels) {
      for (const step of this.steps.children) step.classList.toggle("cited", labels.includes(step.dataset.label));
    }
  }

  // ---- steps of a run

  function stepText(step) {
    const changed = step.changed.map(([name, value]) => `${name} = ${value}`).concat(step.gone.map((name) => `del ${name}`)).join(", ");
    switch (step.kind) {
      case "call": return [`▶ ${step.function}(${changed})`, ""];
      case "return": return [`◀ return ${step.value ?? ""}`, ""];
      case "yield": return [`◁ yield ${step.value ?? ""}`, ""];
      case "resume": return [`▷ ${step.function} goes on`, changed];
      case "exception": return [`✗ ${step.raised}`, ""];
      case "unwind": return [`✗ leaves ${step.function}`, ""];
      case "step": return [`… turn ${step.turn}`, changed];
    }
    const taken = step.branch === null ? "" : step.branch ? `✓${step.turn ? ` turn ${step.turn}` : ""}` : "✗ not entered";
    return [step.code, [taken, changed].filter(Boolean).join("  ")];
  }

  function drawRun(run, steps, outcome, { printed, shown = asLabel }) {
    const rows = run.steps.map((step) => {
      const [code, effect] = stepText(step);
      const row = make("div", { class: `step ${step.kind}`, "data-label": step.label });
      const left = make("code", { style: `margin-left:${Math.min(step.depth, 12)}em` }, code);
      row.append(make("i", {}, shown(step.label)), left, make("code", { class: "effect" }, effect));
      return row;
    });
    if (run.omitted) rows.splice(run.omitted.after, 0, make("p", { class: "empty" }, `${plural(run.omitted.count, "step")} left out`));
    steps.replaceChildren(...rows);
    outcome.className = `outcome ${run.returned ? "" : "wrong"}`;
    outcome.textContent = `${run.call} ${run.outcome}`;
    if (!printed) return;
    printed.hidden = !run.printed;
    printed.textContent = run.printed && `prints: ${run.printed}`;
  }

  function drawTests(list, results) {
    list.replaceChildren(...results.map(({ test, passed, outcome }) => {
      const row = make("li", { class: passed ? "confirmed" : "contradicted" });
      row.append(make("b", {}, passed ? "✓" : "✗"), make("code", {}, test));
      if (outcome) row.append(make("span", {}, outcome));
      return row;
    }));
  }

  // ---- tabs and choices

  const tabs = [...document.querySelectorAll("[role=tab]")];
  function open(tab) {
    for (const each of tabs) {
      each.setAttribute("aria-selected", each === tab);
      each.tabIndex = each === tab ? 0 : -1;
      at(each.getAttribute("aria-controls")).hidden = each !== tab;
    }
    history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`);
  }
  tabs.forEach((tab, n) => {
    tab.onclick = () => open(tab);
    tab.onkeydown = (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const next = tabs[(n + by + tabs.length) % tabs.length];
      open(next);
      next.focus();
    };
  });
  const choice = {};
  for (const group of document.querySelectorAll("[data-choice]")) {
    const name = group.dataset.choice, chips = [...group.children];
    choice[name] = chips[0].dataset.value;
    chips.forEach((chip) => (chip.onclick = () => {
      choice[name] = chip.dataset.value;
      chips.forEach((each) => each.setAttribute("aria-checked", each === chip));
    }));
  }

  // ---- telling a run

  const program = new Editor(at("program"));
  const told = new Told(at("told"), at("steps"));

  async function tell(words) {
    told.clear();
    program.mark([]);
    at("verdict").textContent = "";
    at("steps").replaceChildren();
    at("outcome").textContent = "";
    at("printed").hidden = true;
    at("edit").hidden = at("check").hidden = at("words").hidden = true;
    at("told").hidden = false;
    at("stop").hidden = false;
    await ask("tell", "tell", { program: program.text, call: at("call").value, direction: choice.direction, ...(words ? { words } : {}) }, {
      run: (event) => drawRun(event, at("steps"), at("outcome"), { printed: at("printed") }),
      text: (event) => told.add(event.text),
      marks: (event) => { told.mark(event.marks); program.mark([...told.marks.values()]); },
      end: drawEnd,
    });
    at("stop").hidden = !("tell" in running);
    at("edit").hidden = !told.lines.length;
  }

  function drawEnd({ answer, right, run, counts }) {
    const said = answer === null ? "The words end in no answer" : `The answer ${answer} is ${right ? "right" : "wrong"}`;
    const of = [...WORST].reverse().filter((verdict) => counts[verdict]).map((verdict) => `${MARKS[verdict]} ${counts[verdict]}`);
    at("verdict").className = `outcome ${right ? "right" : "wrong"}`;
    at("verdict").textContent = `${said}${right ? "" : ` (${run})`}. Lines: ${of.join(", ") || "none checked"}`;
  }

  at("run").onclick = () => tell("");
  at("stop").onclick = () => running.tell?.abort();
  at("edit").onclick = () => {
    at("words").value = told.text;
    at("words").rows = Math.max(told.lines.length + 2, 12);
    at("told").hidden = at("edit").hidden = true;
    at("words").hidden = at("check").hidden = false;
    at("words").focus();
  };
  at("check").onclick = () => tell(at("words").value);
  const examples = JSON.parse(at("examples-data").textContent);
  [...at("examples").children].forEach((chip, n) => (chip.onclick = () => {
    program.text = examples[n].program.trimEnd();
    at("call").value = examples[n].call;
  }));
  at("call").onkeydown = (event) => { if (event.key === "Enter") tell(""); };
  at("program").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) tell("");
  });

  // ---- writing code

  const written = new Editor(at("written"), asLine);
  at("write").onclick = () => {
    at("answer").textContent = "";
    at("code-after").replaceChildren();
    ask("code", "code", { task: at("task").value, tests: at("code-tests").value }, {
      text: (event) => at("answer").append(event.text),
      code: (event) => (written.text = event.code),
      tests: (event) => drawTests(at("code-after"), event.results),
    });
  };
  at("test").onclick = () => ask("code", "test", { program: written.text, tests: at("code-tests").value }, {
    tests: (event) => drawTests(at("code-after"), event.results),
  });

  // ---- repairing

  const buggy = new Editor(at("buggy"), asLine);
  const diagnosis = new Told(at("diagnosis"), at("repair-steps"));
  let patch = "";
  at("mend").onclick = () => {
    diagnosis.clear();
    buggy.mark([]);
    at("patch").hidden = true;
    for (const id of ["repair-before", "repair-after", "repair-steps"]) at(id).replaceChildren();
    at("repair-outcome").textContent = "";
    ask("repair", "repair", { program: buggy.text, tests: at("repair-tests").value, task: at("repair-task").value }, {
      tests: (event) => drawTests(at(`repair-${event.when}`), event.results),
      run: (event) => drawRun(event, at("repair-steps"), at("repair-outcome"), { shown: asLine }),
      text: (event) => diagnosis.add(event.text),
      marks: (event) => { diagnosis.mark(event.marks); buggy.mark([...diagnosis.marks.values()]); },
      code: drawPatch,
    });
  };
  function drawPatch({ code, lines }) {
    patch = code;
    at("patch").hidden = false;
    at("diff").replaceChildren(...lines.map(([sign, line]) => {
      const kind = { "+": "confirmed", "-": "contradicted" }[sign] || "";
      return make("div", { class: kind }, `${sign} ${line}`);
    }));
  }
  at("take").onclick = () => { buggy.text = patch; };

  open(tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash) || tabs[0]);
})();
