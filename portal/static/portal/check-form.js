/* Shows only the fields that belong to the chosen kind of check. Without JavaScript all are there. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const FIELDS = {
    http: ["target", "method", "expected_status", "body_pattern", "follow_redirects", "verify_tls", "new_headers",
      "forget_headers", "degraded_after_seconds"],
    tcp: ["target", "degraded_after_seconds"],
    tls: ["target", "verify_tls", "expiry_warning_days", "degraded_after_seconds"],
    promql: ["upstream", "promql", "comparison", "threshold"],
  };
  const kind = document.getElementById("id_kind");
  if (!kind) return;
  const all = new Set(Object.values(FIELDS).flat());

  function show() {
    const wanted = new Set(FIELDS[kind.value] || [...all]);
    for (const name of all) {
      const field = document.getElementById(`id_${name}`);
      const box = field && (field.closest(`.field-${name}`) || field.closest(".field-line, .form-row"));
      if (box) box.hidden = !wanted.has(name);
    }
    for (const row of document.querySelectorAll(".field-row")) {
      const boxes = [...row.querySelectorAll("[class*='field-']")];
      row.classList.toggle("is-empty", boxes.length > 0 && boxes.every((box) => box.hidden));
    }
  }

  kind.addEventListener("change", show);
  show();
});
