"use strict";
// The cards: made when they are asked for, sorted, shown by class or decision, and walked through by keyboard.
(() => {
  const list = document.getElementById("cards");
  if (!list) return;
  const { facts, suspects } = report;
  const PAGE = 60;
  const HALF = 16, WIDTH = 160, PAD = 2; // of a sparkline
  const LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const blank = document.getElementById("card-blank").content.firstElementChild;
  const sort = document.getElementById("gallery-sort");
  const only = document.getElementById("gallery-class");
  const which = document.getElementById("gallery-which");
  const more = document.getElementById("gallery-more");
  const elements = new Map([...list.children].map((element) => [Number(element.dataset.index), element]));
  const images = facts.cards.sheets.files.map((address) => {
    const image = new Image();
    return { image, address, ready: null };
  });
  let order = suspects.map((_, index) => index);
  let shown = elements.size;
  let current = -1;
  let choosing = null; // the card in whose list of labels somebody is, and how many steps there were before

  function cardOf(index) {
    if (!elements.has(index)) elements.set(index, filled(blank.cloneNode(true), index));
    return elements.get(index);
  }

  function filled(card, index) {
    const { id, key, given, proposed, score } = suspects[index];
    const name = facts.visibleKeys[index] ?? key;
    const set = (selector, text) => { card.querySelector(selector).textContent = text; };
    card.dataset.index = index;
    set(".key", name);
    set(".score", score.toFixed(3));
    set(".given", facts.names[given]);
    set(".proposed", facts.names[proposed]);
    set("legend", `Decision for ${name}`);
    for (const radio of card.querySelectorAll("input[type=radio]")) radio.name = `decision-${id}`;
    card.querySelector("select").setAttribute("aria-label", `New label for ${name}`);
    card.querySelector(".comment").setAttribute("aria-label", `Note on ${name}`);
    card.querySelector(".doubt").hidden = index < facts.doubtfulFrom;
    draw(card.querySelector(".spark"), index);
    preview(card.querySelector(".preview"), index, `Sample ${name}, labelled ${facts.names[given]}`);
    prepare(card, index);
    update(card, index);
    return card;
  }

  function draw(spark, index) {
    const track = facts.cards.tracks[index - facts.cards.first] ?? "";
    const put = (kind, text) => spark.querySelector(`.${kind}`).setAttribute("d", pathOf(text));
    put("usual", facts.cards.usual);
    put("own", track);
  }

  // As in sparkline.py: a gap where there is no value, a dot for a single one.
  function pathOf(track) {
    const step = (WIDTH - 2 * PAD) / Math.max(track.length - 1, 1);
    const at = (i) => `${(PAD + i * step).toFixed(1)} ${(HALF - (HALF - PAD) * (LEVELS.indexOf(track[i]) / 31.5 - 1)).toFixed(1)}`;
    let path = "";
    for (let i = 0; i < track.length; i += 1) {
      if (track[i] === ".") continue;
      const begins = i === 0 || track[i - 1] === ".";
      const alone = begins && (i + 1 === track.length || track[i + 1] === ".");
      path += `${begins ? "M" : "L"}${at(i)}${alone ? `L${at(i)}` : ""}`;
    }
    return path;
  }

  function preview(box, index, alt) {
    const { first, sheets, texts, rows, columns, missing } = facts.cards;
    const at = index - first;
    const parts = [];
    const size = sheets.sizes[at];
    if (size) parts.push(picture(at, size, alt));
    if (texts?.[at] != null) parts.push(quoted(texts[at]));
    if (rows?.[at]) parts.push(values(rows[at], columns));
    if (!parts.length) parts.push(element("p", missing?.[at] ?? "left out of the page, to keep it small", "missing"));
    box.replaceChildren(...parts);
  }

  function element(tag, text = "", kind = "") {
    const made = document.createElement(tag);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  // A cell of a contact sheet, which is decoded when the first card needs it.
  function picture(at, [width, height], alt) {
    const { side, across, per } = facts.cards.sheets;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", alt);
    const sheet = images[Math.floor(at / per)];
    const cell = at % per;
    if (!sheet.ready) {
      sheet.image.src = sheet.address;
      sheet.ready = sheet.image.decode();
    }
    sheet.ready.then(() => {
      canvas.getContext("2d").drawImage(sheet.image, (cell % across) * side, Math.floor(cell / across) * side, width, height, 0, 0, width, height);
      canvas.dataset.drawn = "yes";
    }, () => canvas.replaceWith(element("p", "this picture cannot be decoded", "missing")));
    return canvas;
  }

  function quoted(text) {
    const quote = element("blockquote");
    quote.tabIndex = 0;
    quote.append(element("bdi", text));
    return quote;
  }

  function values(row, columns) {
    const found = element("dl", "", "values");
    found.tabIndex = 0;
    for (const [column, value] of row) {
      const pair = element("div");
      const [name, what] = [element("dt"), element("dd")];
      name.append(element("bdi", typeof column === "number" ? columns[column] : column));
      what.append(element("bdi", value));
      pair.append(name, what);
      found.append(pair);
    }
    return found;
  }

  function prepare(card, index) {
    const select = card.querySelector("select");
    for (const radio of card.querySelectorAll("input[type=radio]")) {
      radio.addEventListener("change", () => report.change([[index, { decision: radio.value }]]));
    }
    // A thousand classes times thousands of cards: the list is filled when somebody goes for it.
    for (const moment of ["pointerdown", "focus"]) select.addEventListener(moment, () => fill(select, index));
    select.addEventListener("focus", () => { choosing = { index, steps: report.steps() }; });
    select.addEventListener("blur", () => { choosing = null; });
    select.addEventListener("change", () => {
      const label = Number(select.value);
      takeBack(); // each letter that is typed may be a choice: all of them are one step
      report.change([[index, { decision: "relabel", label }]]);
    });
    card.querySelector(".comment").addEventListener("input", (event) => report.note(index, event.target.value));
    card.addEventListener("focusin", () => mark(index));
    card.addEventListener("pointerdown", () => mark(index));
    looking.observe(card);
  }

  function takeBack() {
    while (choosing && report.steps() > choosing.steps) report.undo();
  }

  function fill(select, index) {
    if (select.dataset.filled) return;
    const { given, proposed } = suspects[index];
    const others = facts.names.map((_, label) => label).filter((label) => label !== given && label !== proposed);
    const chosen = report.state(index).label;
    select.replaceChildren(...[proposed, ...others].map((label) => new Option(facts.names[label], label)));
    select.value = String(chosen);
    select.dataset.filled = "yes";
  }

  function update(card, index) {
    const { decision, label, note } = report.state(index);
    card.dataset.decision = decision;
    for (const radio of card.querySelectorAll("input[type=radio]")) radio.checked = radio.value === decision;
    const select = card.querySelector("select");
    if (select.value !== String(label) || !select.dataset.ours) {
      if (!select.dataset.filled) select.replaceChildren(new Option(facts.names[label], label));
      select.value = String(label);
      select.dataset.ours = "yes";
    }
    const comment = card.querySelector(".comment");
    if (comment.value !== note) comment.value = note;
  }

  // Seen is what was on the screen, half of it at least, for a moment.
  const moments = new Map();
  const looking = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const index = Number(target.dataset.index);
      clearTimeout(moments.get(index));
      const quote = target.querySelector("blockquote");
      // Only of a card on the screen is it known whether its text fits.
      if (isIntersecting && quote && quote.scrollHeight > quote.clientHeight + 2) target.classList.add("long");
      if (isIntersecting) moments.set(index, setTimeout(() => report.look(index), 300));
    }
  }, { threshold: 0.5 });

  function arrange() {
    const wanted = only.value === "" ? null : Number(only.value);
    const fits = (index) => {
      const { given, proposed } = suspects[index];
      const isDecided = Boolean(report.state(index).decision);
      return (wanted === null || given === wanted || proposed === wanted) && (which.value === "" || (which.value === "decided") === isDecided);
    };
    order = suspects.map((_, index) => index).filter(fits); // a card that is decided stays until the filter is set anew
    if (sort.value !== "index") order.sort((a, b) => suspects[a][sort.value] - suspects[b][sort.value] || a - b);
    shown = Math.min(PAGE, order.length);
    list.replaceChildren(...order.slice(0, shown).map(cardOf));
    say();
  }

  function showMore() {
    const next = order.slice(shown, shown + PAGE);
    list.append(...next.map(cardOf));
    shown += next.length;
    say();
    return next[0];
  }

  function say() {
    document.getElementById("gallery-shown").textContent = `${report.number(shown)} of ${report.number(order.length)} shown`;
    more.hidden = shown >= order.length;
    more.textContent = `Show ${report.number(Math.min(PAGE, order.length - shown))} more`;
  }

  function mark(index) {
    if (index === current) return;
    elements.get(current)?.classList.remove("current");
    current = index;
    elements.get(index)?.classList.add("current");
  }

  function goTo(index) {
    const card = cardOf(index);
    if (!card.isConnected) return;
    mark(index);
    report.look(index); // who decides on it has it in front of him
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  }

  // From the card at hand, or into the gallery; beyond the last one that is shown, more are shown.
  function walk(by) {
    const at = order.indexOf(current);
    const next = at < 0 ? 0 : at + by;
    if (next < 0 || next >= order.length) return;
    while (next >= shown) showMore();
    goTo(order[next]);
  }

  function decide(decision) {
    if (current < 0) return walk(1);
    report.look(current);
    report.change([[current, { decision }]]);
    return walk(1);
  }

  const KEYS = {
    n: () => walk(1), ArrowRight: () => walk(1), p: () => walk(-1), ArrowLeft: () => walk(-1),
    k: () => decide("keep"), r: () => decide("relabel"), d: () => decide("drop"),
    l: () => {
      if (current < 0) walk(1);
      elements.get(current)?.querySelector("select").focus();
    },
    u: () => {
      const [index] = report.undo();
      if (index !== undefined && elements.get(index)?.isConnected) goTo(index);
    },
    "?": () => document.getElementById("help").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (document.querySelector("dialog[open]") || event.altKey || event.isComposing) return;
    const inSelect = target.matches("#cards select");
    if (inSelect && (event.key === "Enter" || event.key === "Escape")) {
      event.preventDefault();
      const isChosen = choosing !== null && report.steps() > choosing.steps;
      if (event.key === "Escape") takeBack();
      goTo(Number(target.closest(".card").dataset.index));
      if (event.key === "Enter" && isChosen) walk(1);
      else if (event.key === "Enter") decide("relabel");
      return;
    }
    const typing = target.matches("select, textarea, input:not([type=radio]):not([type=file])");
    const isUndo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !event.shiftKey;
    if (typing || ((event.ctrlKey || event.metaKey) && !isUndo)) return;
    if (target.matches("input[type=radio]") && event.key.startsWith("Arrow")) return; // moves between keep, relabel and drop
    const action = isUndo ? KEYS.u : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  report.filtered = () => order;
  for (const [index, card] of elements) {
    prepare(card, index);
    update(card, index);
  }
  report.listen((indices) => {
    for (const index of indices) if (elements.has(index)) update(elements.get(index), index);
  });
  for (const control of [sort, only, which]) control.addEventListener("change", arrange);
  more.addEventListener("click", () => goTo(showMore()));
  list.addEventListener("click", (event) => {
    const button = event.target.closest(".whole");
    if (!button) return;
    const open = button.closest(".card").classList.toggle("open");
    button.textContent = open ? "less" : "whole text";
  });
  say();
})();
