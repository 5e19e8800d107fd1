// What Vega-Lite cannot do: it writes no HTML (the list of chosen cells, with their commands), keeps
// no state in the address, copies nothing, and its marks cannot be reached by the keyboard.
(async () => {
  const read = id => JSON.parse(document.getElementById(id).textContent);
  const page = read("page"), spec = read("spec");
  spec.datasets = page.rows;
  const narrow = Math.max(220, document.documentElement.clientWidth - 110);
  for (const part of spec.vconcat) {
    if (narrow < 620) part.columns = 1;
    for (const chart of part.concat) chart.width = Math.min(chart.width, narrow);
  }
  const options = {actions: false, renderer: "svg", logLevel: 1, tooltip: {theme: "page"}};
  const {view} = await vegaEmbed("#chart", spec, options);
  const cells = new Map(page.rows.cells.map(cell => [cell.id, cell]));
  const $ = id => document.getElementById(id);
  const element = (tag, props, ...inside) => {
    const made = Object.assign(document.createElement(tag), props);
    made.append(...inside);
    return made;
  };
  const get = name => view.signal(name);
  const set = async (name, value) => { view.signal(name, value); await view.runAsync(); changed(); };
  const toggle = id => {
    const picked = get("picked");
    return set("picked", picked.includes(id) ? picked.filter(x => x !== id) : [...picked, id]);
  };

  // The address: #metric=...&coordinate=...&seed=...&picked=a,b
  const state = () => Object.keys(page.start).map(name => `${name}=${get(name)}`).join("&");
  const restore = async () => {
    for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
      if (name === "picked") view.signal(name, text.split(",").filter(id => cells.has(id)));
      else if (name === "seed") view.signal(name, +text in page.seeds ? +text : 0);
      else if (text in (page[name] ?? {})) view.signal(name, text);
    }
    await view.runAsync();
    changed();
  };
  addEventListener("hashchange", () => { if (location.hash !== "#" + state()) restore(); });

  // The list of chosen cells.
  const copy = async (button, text) => {
    try { await navigator.clipboard.writeText(text); button.textContent = "copied"; }
    catch { getSelection().selectAllChildren(button.previousSibling); button.textContent = "press Ctrl+C"; }
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  };
  const copyable = text => {
    const button = element("button", {className: "copy", textContent: "copy"});
    button.onclick = () => copy(button, text);
    return element("div", {className: "command"}, element("code", {textContent: text}), button);
  };
  const number = (value, digits) => value == null ? "–" : String(+value.toPrecision(digits));
  const item = (id, i) => {
    const cell = cells.get(id), metric = get("metric"), seed = get("seed"), sd = cell.sd[metric];
    const spread = seed || sd == null ? "" : ` ± ${number(sd, 2)}`;
    const what = `${cell.name}: lr ${cell.lr}, wd ${cell.wd}`;
    const says = `${page.metric[metric]} ${number(cell.v[metric][seed], 4)}${spread}, ` +
      (seed ? `seed ${page.seeds[seed]}` : `${cell.n} finished`) +
      (cell.status[seed] === "finished" ? "" : `, ${cell.status[seed] || "not run yet"}`);
    const badge = element("b", {className: "badge", textContent: page.letters[i % 26]});
    badge.style.background = page.colours[i % page.colours.length];
    const remove = element("button", {textContent: "remove"});
    remove.setAttribute("aria-label", `remove ${what}`);
    remove.onclick = () => toggle(id);
    return element("li", {}, element("div", {className: "cell"}, badge, element("span", {},
      element("strong", {textContent: what}), ` ${says}`), remove),
      cell.command ? copyable(cell.command) : element("p", {textContent: page.nobody}));
  };

  // The keyboard: one stop of the tab key a panel, arrows from cell to cell, Enter or space chooses.
  const boxes = () => [...document.querySelectorAll("#chart path[aria-roledescription='rect mark'][aria-label]")]
    .filter(box => box.__data__?.datum?.id);
  const reachable = () => {
    const stops = new Set();
    for (const box of boxes()) {
      const {panel, id} = box.__data__.datum;
      box.setAttribute("role", "button");
      box.setAttribute("aria-pressed", get("picked").includes(id));
      box.tabIndex = stops.has(panel) ? -1 : 0;
      stops.add(panel);
    }
  };
  const step = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  const next = (from, [dx, dy]) => {
    const at = box => { const r = box.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; };
    const [x, y] = at(from), panel = from.__data__.datum.panel;
    const ahead = boxes().filter(box => box.__data__.datum.panel === panel).map(box => {
      const [bx, by] = at(box), along = dx * (bx - x) + dy * (by - y);
      return {box, along, away: along + 3 * Math.abs(dy * (bx - x) + dx * (by - y))};
    }).filter(place => place.along > 2);
    return ahead.sort((a, b) => a.away - b.away)[0]?.box;
  };
  $("chart").addEventListener("keydown", async event => {
    const datum = event.target.__data__?.datum;
    if (!datum?.id) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      await toggle(datum.id);
      boxes().find(box => box.__data__.datum.id === datum.id)?.focus();
    } else if (event.key in step) {
      event.preventDefault();
      const box = next(event.target, step[event.key]);
      if (box) { event.target.tabIndex = -1; box.tabIndex = 0; box.focus(); }
    }
  });
  $("chart").addEventListener("focusin", event => { // shows what the pointer would show
    const {x, y, width, height} = event.target.getBoundingClientRect();
    const where = {clientX: x + width / 2, clientY: y + height / 2, bubbles: true};
    if (event.target.__data__?.datum?.id) event.target.dispatchEvent(new MouseEvent("mousemove", where));
  });

  function changed() {
    $("picked").replaceChildren(...get("picked").map(item));
    for (const name of ["metric", "coordinate", "seed"]) $(name).value = get(name);
    $("curves").hidden = get("picked").some(id => page.rows.runs.some(run => run.cell === id));
    history.replaceState(null, "", "#" + state());
    reachable();
  }
  for (const name of ["metric", "coordinate", "seed"])
    $(name).onchange = event => set(name, name === "seed" ? +event.target.value : event.target.value);
  for (const button of document.querySelectorAll("button[data-panel]"))
    button.onclick = () => {
      const best = page.best[button.dataset.panel][get("metric")];
      if (best && !get("picked").includes(best)) toggle(best);
    };
  $("none").onclick = () => set("picked", []);
  for (const code of document.querySelectorAll("code[data-copy]")) code.replaceWith(copyable(code.textContent));
  view.addEventListener("click", (event, mark) => { if (mark?.datum?.id) toggle(mark.datum.id); });
  await restore();
  document.body.dataset.ready = "";
  if (page.refresh) setTimeout(() => location.reload(), 1000 * page.refresh);
})();
