// Follows a running export: asks for its progress every second until it has ended.
"use strict";
(function () {
  const page = document.getElementById("export");
  const bar = page.querySelector("progress");
  const open = new Set(["waiting", "running"]);
  const show = (name, text) => {
    page.querySelector(`[data-field="${name}"]`).textContent = text;
  };

  function draw(said) {
    page.dataset.state = said.state;
    show("label", said.label);
    show("rows", said.rows.toLocaleString("en-GB"));
    show("size", said.size);
    show("error", said.error);
    if (said.sha256) show("sha256", said.sha256);
    bar.max = Math.max(said.estimated_rows, said.rows, 1);
    bar.value = said.state === "completed" ? bar.max : said.rows;
    const download = document.getElementById("export-download");
    if (download && said.state !== "waiting") download.remove();
    const cancel = document.getElementById("export-cancel");
    if (cancel && !open.has(said.state)) cancel.remove();
  }

  async function ask() {
    try {
      const answer = await fetch(page.dataset.url, { headers: { Accept: "application/json" } });
      if (answer.ok) draw(await answer.json());
    } catch {
      show("error", "The portal cannot be reached at the moment.");
    }
    if (open.has(page.dataset.state)) setTimeout(ask, 1000);
  }

  if (open.has(page.dataset.state)) setTimeout(ask, 1000);
})();
