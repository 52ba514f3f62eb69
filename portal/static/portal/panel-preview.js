/* Draws the expression in a chart's form while it is written; half a second after the last key. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const root = document.querySelector("[data-preview]");
  const field = (name) => document.getElementById(`id_${name}`);
  if (!root || !field("promql")) return;
  const chart = new PortalChart(root);
  let timer = 0;
  let asked = 0;

  const number = (name) => (field(name).value.trim() === "" ? null : Number(field(name).value));

  async function draw() {
    const query = field("promql").value.trim();
    if (!query) return chart.say("Write a PromQL expression to see it drawn here.");
    const mine = ++asked;
    const wanted = new URLSearchParams({ query, legend: field("legend").value, unit: field("unit").value });
    const upstream = field("upstream");
    if (upstream.value) wanted.set("upstream", upstream.selectedOptions[0].text);
    try {
      const answer = await fetch(`${root.dataset.url}?${wanted}`, { headers: { Accept: "application/json" } });
      const body = await answer.json();
      if (mine !== asked) return; // a newer question is under way
      if (!answer.ok) return chart.fail(body.detail || `The portal answered HTTP ${answer.status}.`);
      body.thresholds = { warning: number("warning_above"), critical: number("critical_above") };
      chart.draw(body);
    } catch {
      if (mine === asked) chart.fail("The portal does not answer.");
    }
  }

  for (const name of ["promql", "legend", "unit", "upstream", "warning_above", "critical_above"]) {
    field(name).addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(draw, 500);
    });
  }
  draw();
});
