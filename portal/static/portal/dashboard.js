/* Keeps the dashboard current: every 15 seconds while the tab is visible, never two rounds at once.
 *
 * When the portal does not answer, what is on the page stays, greyed, with a sentence saying since when.
 */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const EVERY_MS = 15_000;
  const GIVE_UP_MS = 25_000;
  const page = document.getElementById("dashboard");
  if (!page) return;

  const live = document.getElementById("dash-live");
  const updated = document.getElementById("dash-updated");
  const connection = document.getElementById("dash-connection");
  const ranges = [...page.querySelectorAll("[data-range]")];
  const charts = [...page.querySelectorAll("[data-chart]")].map((root) => new PortalChart(root));
  let seconds = chooseRange(localStorage.getItem("dashboardRange"));
  let lastSuccess = Date.now();
  let due = 0; // the time of the next round; 0 is now
  let busy = false;

  class SignedOut extends Error {}

  async function get(url, kind) {
    const answer = await fetch(url, {
      headers: { Accept: kind, "X-Requested-With": "fetch" },
      credentials: "same-origin",
      redirect: "manual", // a redirect leads to the sign-in page
      signal: AbortSignal.timeout(GIVE_UP_MS),
    });
    if (answer.type === "opaqueredirect" || answer.status === 401) throw new SignedOut();
    if (answer.status === 403) throw new SignedOut();
    return answer;
  }

  async function refreshNumbers() {
    const answer = await get(page.dataset.liveUrl, "text/html");
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const html = await answer.text();
    replace(html);
    lastSuccess = Date.now();
    page.classList.remove("is-stale");
    connection.hidden = true;
    updated.textContent = `Updated ${new Date().toISOString().slice(11, 19)} UTC`;
  }

  /* Put the new numbers in place without losing the reader's place: focus stays on the same link. */
  function replace(html) {
    const focused = live.contains(document.activeElement) ? document.activeElement : null;
    const key = focused && (focused.id ? `#${focused.id}` : `a[href="${focused.getAttribute("href")}"]`);
    const fresh = document.createElement("div");
    fresh.innerHTML = html; // rendered and escaped by the portal itself
    const sentence = (root) => root.querySelector("#dash-attention")?.textContent;
    // A status region that did not change is carried over, so that it is not read out again.
    if (sentence(fresh) === sentence(live)) {
      fresh.querySelector("#dash-attention")?.replaceWith(live.querySelector("#dash-attention"));
    }
    live.replaceChildren(...fresh.childNodes);
    if (key) live.querySelector(key)?.focus({ preventScroll: true });
  }

  async function refreshChart(chart) {
    const end = Date.now() / 1000;
    const url = `${chart.root.dataset.url}?start=${(end - seconds).toFixed(0)}&end=${end.toFixed(0)}`;
    try {
      const answer = await get(url, "application/json");
      const body = await answer.json();
      if (answer.ok) chart.draw(body);
      else chart.fail(body.detail || `The portal answered HTTP ${answer.status}.`);
    } catch (error) {
      chart.fail(error instanceof SignedOut ? "You have signed out." : "The portal does not answer.");
    }
  }

  function sayLost(error) {
    page.classList.add("is-stale");
    connection.hidden = false;
    if (error instanceof SignedOut) {
      const link = document.createElement("a");
      link.href = `${page.dataset.loginUrl}?next=${encodeURIComponent(location.pathname)}`;
      link.textContent = "Sign in again";
      connection.replaceChildren("You are signed out, so this page no longer updates. ", link, ".");
      return;
    }
    const since = new Date(lastSuccess).toISOString().slice(11, 19);
    connection.textContent =
      `The portal does not answer since ${since} UTC. What you see is from then; it is asked again every 15 seconds.`;
  }

  async function round() {
    if (busy || document.hidden || Date.now() < due) return;
    busy = true;
    due = Date.now() + EVERY_MS;
    page.setAttribute("aria-busy", "true");
    const drawing = charts.map(refreshChart);
    try {
      await refreshNumbers();
    } catch (error) {
      sayLost(error);
    }
    await Promise.allSettled(drawing);
    page.removeAttribute("aria-busy");
    page.dataset.rounds = String(Number(page.dataset.rounds || 0) + 1);
    busy = false;
  }

  function chooseRange(name) {
    const chosen = ranges.find((button) => button.dataset.range === name) ||
      ranges.find((button) => button.getAttribute("aria-pressed") === "true");
    for (const button of ranges) button.setAttribute("aria-pressed", String(button === chosen));
    return chosen ? Number(chosen.dataset.seconds) : 3600;
  }

  for (const button of ranges) {
    button.addEventListener("click", () => {
      localStorage.setItem("dashboardRange", button.dataset.range);
      seconds = chooseRange(button.dataset.range);
      charts.forEach(refreshChart);
    });
  }
  // A hidden tab asks nothing; on its return it asks at once when a round is due.
  document.addEventListener("visibilitychange", round);
  setInterval(round, 1000);
  round();
});
