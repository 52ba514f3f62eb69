/* Asks the portal what the rule in the form would do now, and shows the part of a page it answers. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const root = document.querySelector("[data-rule-preview]");
  if (!root) return;
  const result = root.querySelector("[data-result]");
  const button = root.querySelector("button");

  button.addEventListener("click", async () => {
    const form = button.closest("form");
    button.disabled = true;
    result.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(root.dataset.url, { method: "POST", body: new FormData(form) });
      if (!answer.ok) throw new Error(`The portal answered HTTP ${answer.status}.`);
      result.innerHTML = await answer.text(); // rendered by a template of ours, which escapes
    } catch (error) {
      result.textContent = `There is no preview. ${error.message}`;
    } finally {
      button.disabled = false;
      result.removeAttribute("aria-busy");
    }
  });
});
