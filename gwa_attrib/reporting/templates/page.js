"use strict";
// What belongs to the whole page: how far the decisions are, accepting what is left, the file out and in again, what to do with it.
(() => {
  const { facts, suspects, number } = report;
  const $ = (id) => document.getElementById(id);

  // Where the page lies tells where the run lies: nothing of the writer's machine has to be in the page for that.
  function runFolder() {
    const { folder, name } = facts.place;
    if (location.protocol !== "file:" || folder === null) return name;
    const path = decodeURIComponent(new URL(`${folder.split("/").map(encodeURIComponent).join("/")}/`, location.href).pathname).replace(/\/$/, "");
    return /^\/[A-Za-z]:/.test(path) ? path.slice(1).replaceAll("/", "\\") : path;
  }

  function quoted(path) {
    if (/^[\w@%+=:,./-]+$/.test(path)) return path;
    return path.includes("\\") ? `"${path}"` : `'${path.replaceAll("'", "'\\''")}'`;
  }

  function command() {
    const run = runFolder();
    if (facts.audited) return `gwa-attrib apply ${quoted(run)} ~/Downloads/decisions.csv --out ${quoted(`${run}-cleaned`)}`;
    const text = JSON.stringify(run);
    const copy = facts.huggingface ? "dataset = cleaned.to_huggingface(dataset)  # the data set that was recorded" : "train_set = cleaned.to_torch(train_set)  # the data set that was recorded";
    return `import gwa_attrib as gwa\n\ncleaned = gwa.apply(${text}, "decisions.csv")\n${copy}`;
  }

  const verification = () => `gwa-attrib verify ${quoted(runFolder())} --decisions ~/Downloads/decisions.csv`;

  function say(text) {
    for (const status of document.querySelectorAll(".status")) status.textContent = text;
  }

  function summary() {
    const { keep, relabel, drop, all } = report.counts();
    return `${number(all)} of ${number(suspects.length)} decided: ${number(keep)} keep, ${number(relabel)} relabel, ${number(drop)} drop.`;
  }

  function show() {
    say(summary());
    $("undo").disabled = !report.steps();
  }

  function download() {
    if (!report.made().length) return say("Nothing is decided yet, so there is nothing to download.");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([report.csv()], { type: "text/csv" }));
    link.download = "decisions.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`${summary()} Saved as decisions.csv.`);
    const notes = suspects.filter((_, index) => report.state(index).note && !report.state(index).decision).length;
    const left = notes ? ` ${number(notes)} ${notes === 1 ? "note is" : "notes are"} not in the file, being on ${notes === 1 ? "a suspect" : "suspects"} that nothing is decided on.` : "";
    $("after-summary").textContent = summary() + left;
    $("after-command").textContent = command();
    if ($("after-verify")) $("after-verify").textContent = verification();
    return $("after").showModal();
  }

  // What is still open and may be accepted: not what the training knows nothing about.
  function open() {
    const undecided = report.filtered().filter((index) => !report.state(index).decision);
    return { trusted: undecided.filter((index) => index < facts.doubtfulFrom), doubtful: undecided.filter((index) => index >= facts.doubtfulFrom) };
  }

  function askToAccept() {
    const { trusted, doubtful } = open();
    const seen = trusted.filter((index) => report.seen.has(index));
    const unseen = trusted.length - seen.length;
    const hidden = suspects.length - report.filtered().length;
    $("accept-filter").textContent = hidden ? `This is about the ${number(report.filtered().length)} suspects that the filter lets through; ${number(hidden)} others are left as they are.` : "";
    $("accept-question").textContent = trusted.length
      ? `${number(trusted.length)} suspects are undecided. ${unseen ? `${number(unseen)} of them nobody has looked at in this browser.` : "Each of them was on the screen."}`
      : "No suspect is left whose proposal could be accepted.";
    $("accept-doubtful").textContent = doubtful.length ? `${number(doubtful.length)} more are in classes that the training has not learnt: they are left alone.` : "";
    $("accept-every").textContent = `Relabel all ${number(trusted.length)}`;
    $("accept-every").disabled = !trusted.length;
    $("accept-seen").textContent = `Relabel the ${number(seen.length)} that were seen`;
    $("accept-seen").hidden = !seen.length || !unseen;
    $("accept").showModal();
  }

  function accept(onlySeen) {
    const { trusted } = open();
    const chosen = onlySeen ? trusted.filter((index) => report.seen.has(index)) : trusted;
    report.change(chosen.map((index) => [index, { decision: "relabel" }]));
    $("accept").close();
  }

  async function load(file) {
    try {
      const { taken, replaced, refused } = report.load(await file.text());
      const parts = [`${number(taken)} decisions loaded from ${file.name}`];
      if (replaced) parts.push(`${number(replaced)} of them in place of other ones (Undo brings these back)`);
      if (refused.length) parts.push(`${number(refused.length)} left out: ${refused.slice(0, 3).join("; ")}${refused.length > 3 ? " …" : ""}`);
      say(`${parts.join("; ")}. ${summary()}`);
    } catch (error) {
      say(`${file.name} was not loaded: ${error.message}.`);
    }
  }

  async function copy(button) {
    const source = $(button.dataset.of);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = "Selected: press Ctrl+C";
    }
  }

  for (const button of document.querySelectorAll("dialog .close")) button.addEventListener("click", () => button.closest("dialog").close());
  for (const link of document.querySelectorAll("nav a")) {
    const target = document.querySelector(link.hash);
    link.addEventListener("click", () => { if (target.matches("details")) target.open = true; });
  }
  const spots = [...document.querySelectorAll("nav a")].map((link) => [link, document.querySelector(link.hash)]);
  const watcher = new IntersectionObserver(() => {
    const above = spots.filter(([, section]) => section.getBoundingClientRect().top < 140);
    for (const [link] of spots) link.removeAttribute("aria-current");
    (above.at(-1) ?? spots[0])?.[0].setAttribute("aria-current", "true");
  }, { rootMargin: "-130px 0px -60% 0px", threshold: [0, 0.01, 0.1] });
  for (const [, section] of spots) watcher.observe(section);
  // A link into something that is folded opens it.
  const unfold = () => {
    const target = location.hash.length > 1 && $(decodeURIComponent(location.hash.slice(1)));
    for (let at = target; at; at = at.parentElement?.closest("details")) if (at.matches("details")) at.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
  if (!suspects.length) return;
  $("accept-all").addEventListener("click", askToAccept);
  $("accept-every").addEventListener("click", () => accept(false));
  $("accept-seen").addEventListener("click", () => accept(true));
  $("clear-all").addEventListener("click", () => report.clear());
  $("undo").addEventListener("click", () => report.undo());
  $("show-help").addEventListener("click", () => $("help").showModal());
  $("load").addEventListener("click", () => $("load-file").click());
  $("load-file").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (file) await load(file);
    event.target.value = "";
  });
  for (const button of document.querySelectorAll("#after .copy")) button.addEventListener("click", () => copy(button));
  for (const button of document.querySelectorAll(".download")) button.addEventListener("click", download);
  report.listen(show);
  show();
})();
