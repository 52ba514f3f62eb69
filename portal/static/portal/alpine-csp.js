/* Makes unfold 0.91 run on Alpine's CSP build, which evaluates no JavaScript text.
 *
 * The CSP build has its own small expression parser. It sees what Alpine.data() registers and what
 * x-data declares, but neither globals nor statements. So: (1) unfold's global functions are
 * registered as data; (2) the few attribute values the parser cannot read are replaced by
 * equivalent ones. Loaded before Alpine starts; unfold's own functions exist by then.
 */
"use strict";

htmx.config.includeIndicatorStyles = false; // it would add a <style> without a nonce
htmx.config.allowEval = false;

document.addEventListener("alpine:init", () => {
  const address = () => location.pathname + location.search;

  for (const [name, make] of Object.entries({ searchForm, searchDropdown, searchCommand })) {
    Alpine.data(name, make);
  }

  // Everything on the page lies inside x-data="theme(…)", so helpers put here are visible everywhere.
  Alpine.data("theme", (initial) =>
    Object.assign(theme(initial), {
      getCurrentTab,
      sortRecords,
      moveRecords,
      milliseconds: () => Date.now(),
      addressOfTab: (tab) => (tab && tab !== "general" ? `${address()}#${tab}` : address()),
      escapeSearch: (input) => (input.value === "" ? input.blur() : (input.value = "")),
    }),
  );

  Alpine.data("pageBody", (tab) => {
    const stored = localStorage.getItem("sidebarDesktopOpen");
    return {
      activeTab: (tab && (getCurrentTab() || tab)) || "",
      sidebarMobileOpen: false,
      sidebarDesktopOpen: stored === null || stored === "1",
      init() {
        this.$watch("sidebarDesktopOpen", (open) =>
          localStorage.setItem("sidebarDesktopOpen", open ? "1" : "0"),
        );
      },
    };
  });

  const replacements = new Map([
    [
      "activeTab && activeTab !== 'general' ? window.location.pathname + window.location.search + '#' + activeTab : window.location.pathname + window.location.search",
      "addressOfTab(activeTab)",
    ],
    [
      "if (!$event.metaKey && !$event.ctrlKey) selectItem(false, false)",
      "!$event.metaKey && !$event.ctrlKey && selectItem(false, false)",
    ],
    [
      "if (!$event.metaKey && !$event.ctrlKey) selectItem(true, false)",
      "!$event.metaKey && !$event.ctrlKey && selectItem(true, false)",
    ],
    [
      "if (!$event.target.closest('a')) { openUserLinks = !openUserLinks }",
      "openUserLinks = $event.target.closest('a') ? openUserLinks : !openUserLinks",
    ],
    [
      "if (!$event.target.closest('a')) { rowOpen = !rowOpen }",
      "rowOpen = $event.target.closest('a') ? rowOpen : !rowOpen",
    ],
    [
      "openSearchResults = false; if ($refs.searchInput.value === '') { $refs.searchInput.blur() } else { $refs.searchInput.value = '' }",
      "openSearchResults = false; escapeSearch($refs.searchInput)",
    ],
    ["items.push({ key: new Date().getTime()})", "items.push({ key: milliseconds() })"],
  ]);
  Alpine.mapAttributes((attribute) =>
    replacements.has(attribute.value)
      ? { name: attribute.name, value: replacements.get(attribute.value) }
      : attribute,
  );
});
