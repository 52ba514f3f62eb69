/* Draws one panel's data (GET /api/v1/panels/{id}/data/) with uPlot.
 *
 * An element with data-chart holds data-url, data-unit, data-title and the parts of
 * templates/portal/chart_body.html. PortalChart.draw(data) may be called again and again; the old
 * curve stays, greyed, when the new data cannot be had.
 */
"use strict";

const PortalChart = (() => {
  const HEIGHT = 210;
  const COLOURS = 8; // --chart-1 … --chart-8 in portal.css, then again from the first with dashes
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const two = (number) => String(number).padStart(2, "0");

  function scaled(value, base, units) {
    let index = 0;
    for (let size = Math.abs(value); size >= base && index < units.length - 1; size /= base) index++;
    const number = value / base ** index;
    return `${trimmed(number)} ${units[index]}`.trim();
  }

  function trimmed(number) {
    const size = Math.abs(number);
    const digits = size >= 100 || Number.isInteger(number) ? 0 : size >= 10 ? 1 : size >= 0.1 || size === 0 ? 2 : 3;
    return String(Number(number.toFixed(digits)));
  }

  function seconds(value) {
    const size = Math.abs(value);
    if (size === 0) return "0 s";
    if (size < 1e-3) return `${trimmed(value * 1e6)} µs`;
    if (size < 1) return `${trimmed(value * 1e3)} ms`;
    if (size < 120) return `${trimmed(value)} s`;
    return size < 7200 ? `${trimmed(value / 60)} min` : `${trimmed(value / 3600)} h`;
  }

  /* Return `value` as people write it; null is a gap. */
  function worded(value, unit) {
    if (value === null || value === undefined) return "–";
    if (unit === "percent") return `${trimmed(value)} %`;
    if (unit === "ratio") return `${trimmed(value * 100)} %`;
    if (unit === "bytes") return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
    if (unit === "seconds") return seconds(value);
    const short = scaled(value, 1000, ["", "k", "M", "G", "T"]);
    return unit === "per_second" ? `${short}/s` : short;
  }

  function clock(unix, withDate) {
    const at = new Date(unix * 1000);
    const time = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
    return withDate ? `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${time}` : time;
  }

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  const lastOf = (values) => {
    for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null) return values[i];
    return null;
  };

  class Chart {
    constructor(root) {
      this.root = root;
      this.unit = root.dataset.unit;
      this.parts = {};
      for (const name of ["message", "plot", "legend", "note", "table", "grafana"]) {
        this.parts[name] = root.querySelector(`[data-${name}]`);
      }
      this.plot = null;
      this.data = null;
      this.hidden = new Set();
      new ResizeObserver(() => this.resize()).observe(this.parts.plot);
      new MutationObserver(() => this.data && this.render()).observe(document.documentElement, {
        attributeFilter: ["class"],
      });
    }

    /* Show `data`; an error in it is shown in place of, or above, what was drawn before. */
    draw(data) {
      this.lead(data.grafana_url || "");
      if (data.error) return this.fail(data.error);
      this.root.classList.remove("is-stale");
      this.data = data;
      if (data.unit) this.unit = data.unit;
      const empty = data.series.length === 0;
      this.say(empty ? data.empty || "The expression gives no data in this range." : "");
      this.note([data.note, empty ? "" : this.episodeNote(), empty ? "" : this.deployNote()].filter(Boolean).join(" "));
      this.parts.plot.hidden = this.parts.legend.hidden = empty;
      this.parts.table.parentElement.hidden = empty;
      if (empty) return this.destroy();
      this.render();
    }

    /* The link goes with the range that is shown. */
    lead(url) {
      if (!this.parts.grafana) return;
      this.parts.grafana.href = url;
      this.parts.grafana.parentElement.hidden = url === "";
    }

    fail(sentence) {
      this.root.classList.add("is-stale");
      this.say(this.data ? `${sentence} The curve shows what was known before.` : sentence);
      this.parts.plot.hidden = this.plot === null;
    }

    say(sentence) {
      if (this.parts.message.textContent !== sentence) this.parts.message.textContent = sentence;
      this.parts.message.hidden = sentence === "";
    }

    note(sentence) {
      this.parts.note.textContent = sentence;
      this.parts.note.hidden = sentence === "";
    }

    episodeNote() {
      const count = this.data.episodes.length;
      if (!count) return "";
      const names = [...new Set(this.data.episodes.map((episode) => episode.alertname))];
      const shown = names.slice(0, 3).join(", ") + (names.length > 3 ? ", …" : "");
      return `Shaded: ${count} alert episode${count === 1 ? "" : "s"} (${shown}).`;
    }

    deployNote() {
      const deploys = this.data.deploys || [];
      if (!deploys.length) return "";
      const last = deploys[deploys.length - 1];
      const named = `${last.service} ${last.version} at ${clock(last.at, false)}`;
      return deploys.length === 1 ? `Line: deploy of ${named}.` : `Lines: ${deploys.length} deploys, last ${named}.`;
    }

    colour(index) {
      return css(`--chart-${(index % COLOURS) + 1}`);
    }

    destroy() {
      if (this.plot) this.plot.destroy();
      this.plot = null;
    }

    /* uPlot is rebuilt only when the set of series or the colours change; else it gets new data. */
    render() {
      const shape = JSON.stringify([this.data.series, css("--chart-1"), this.unit, this.data.thresholds]);
      const columns = this.data.data;
      if (this.plot && this.shape === shape) {
        this.plot.setData(columns, false);
        this.plot.setScale("x", { min: this.data.start, max: this.data.end });
      } else {
        this.destroy();
        this.shape = shape;
        this.plot = new uPlot(this.options(), columns, this.parts.plot);
        this.drawLegend();
      }
      this.values(null);
      this.describe();
    }

    width() {
      return Math.max(this.parts.plot.clientWidth, 120);
    }

    resize() {
      if (this.plot && this.plot.width !== this.width()) {
        this.plot.setSize({ width: this.width(), height: HEIGHT });
      }
    }

    options() {
      const axis = { stroke: css("--chart-axis"), grid: { stroke: css("--chart-grid"), width: 1 } };
      axis.ticks = { ...axis.grid, size: 4 };
      axis.font = "11px Inter, system-ui, sans-serif";
      return {
        width: this.width(),
        height: HEIGHT,
        padding: [10, 12, 0, 0],
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 6 } },
        tzDate: (unix) => uPlot.tzDate(new Date(unix * 1e3), "Etc/UTC"),
        scales: {
          x: { time: true, range: () => [this.data.start, this.data.end] },
          y: { range: (_plot, low, high) => this.bounds(low, high) },
        },
        axes: [
          { ...axis, size: 28, space: 64, values: (_plot, splits) => splits.map((unix) => this.tick(unix)) },
          { ...axis, size: 64, space: 36, values: (_plot, splits) => splits.map((value) => worded(value, this.unit)) },
        ],
        series: [{}, ...this.data.series.map((series, index) => this.line(series, index))],
        hooks: {
          drawClear: [(plot) => this.shade(plot)],
          draw: [(plot) => this.thresholds(plot), (plot) => this.markDeploys(plot)],
          setCursor: [(plot) => this.values(plot.cursor.idx)],
        },
      };
    }

    line(series, index) {
      const colour = this.colour(index);
      return {
        label: series.label,
        stroke: colour,
        width: 1.75,
        fill: this.data.series.length === 1 ? `${colour}22` : undefined,
        dash: index >= COLOURS ? [5, 4] : undefined,
        show: !this.hidden.has(series.label),
        spanGaps: false,
        points: { show: this.data.data[0].length < 3, size: 5 },
      };
    }

    bounds(low, high) {
      if (low === null || high === null) return [0, 1];
      const top = Math.max(high, ...Object.values(this.data.thresholds).filter((v) => v !== null && v <= high * 2));
      const bottom = Math.min(low, 0);
      if (top === bottom) return [bottom, bottom + 1];
      return [bottom, top + (top - bottom) * 0.08];
    }

    tick(unix) {
      const span = this.data.end - this.data.start;
      if (span <= 86400) return clock(unix, false);
      const at = new Date(unix * 1000);
      const midnight = at.getUTCHours() === 0 && at.getUTCMinutes() === 0;
      return midnight ? `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}` : clock(unix, false);
    }

    /* Shade the time of each alert episode behind the curve. */
    shade(plot) {
      const { ctx, bbox } = plot;
      ctx.save();
      for (const episode of this.data.episodes) {
        const from = Math.max(episode.start, this.data.start);
        const to = Math.min(episode.end ?? this.data.end, this.data.end);
        const left = plot.valToPos(from, "x", true);
        const width = Math.max(plot.valToPos(to, "x", true) - left, 2);
        ctx.fillStyle = css(`--shade-${episode.level}`);
        ctx.fillRect(left, bbox.top, width, bbox.height);
        ctx.fillStyle = css(`--shade-edge-${episode.level}`);
        ctx.fillRect(left, bbox.top, width, 3 * devicePixelRatio);
      }
      ctx.restore();
    }

    thresholds(plot) {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
      for (const [level, value] of Object.entries(this.data.thresholds)) {
        if (value === null || value > plot.scales.y.max || value < plot.scales.y.min) continue;
        const y = plot.valToPos(value, "y", true);
        ctx.strokeStyle = css(`--shade-edge-${level}`);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
      }
      ctx.restore();
    }

    /* Draw a line with a flag where a deploy took place. */
    markDeploys(plot) {
      const { ctx, bbox } = plot;
      const flag = 5 * devicePixelRatio;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = css("--mark-deploy");
      ctx.lineWidth = devicePixelRatio;
      for (const deploy of this.data.deploys || []) {
        const x = Math.round(plot.valToPos(deploy.at, "x", true));
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x + 2 * flag, bbox.top + flag);
        ctx.lineTo(x, bbox.top + 2 * flag);
        ctx.fill();
      }
      ctx.restore();
    }

    drawLegend() {
      this.parts.legend.replaceChildren(
        ...this.data.series.map((series, index) => {
          const button = element("button", undefined, "chart-key");
          button.type = "button";
          button.setAttribute("aria-pressed", String(!this.hidden.has(series.label)));
          const swatch = element("span", undefined, "chart-swatch");
          swatch.style.background = this.colour(index);
          swatch.setAttribute("aria-hidden", "true");
          button.append(swatch, element("span", series.label, "chart-name"), element("span", "", "chart-value"));
          button.addEventListener("click", () => this.toggle(index, series.label, button));
          const item = element("li");
          item.append(button);
          return item;
        }),
      );
    }

    toggle(index, label, button) {
      const show = this.hidden.has(label);
      if (show) this.hidden.delete(label);
      else this.hidden.add(label);
      button.setAttribute("aria-pressed", String(show));
      this.plot.setSeries(index + 1, { show });
    }

    /* Write the values under the cursor, or the latest ones, into the legend. */
    values(index) {
      const cells = this.parts.legend.querySelectorAll(".chart-value");
      cells.forEach((cell, number) => {
        const column = this.data.data[number + 1];
        if (!column) return;
        const value = index === null || index === undefined ? lastOf(column) : column[index];
        cell.textContent = worded(value, this.unit);
      });
    }

    /* The text alternative: a sentence for the picture, and a table with the latest values. */
    describe() {
      const { series, data, start, end } = this.data;
      const latest = series.map((one, i) => `${one.label}: ${worded(lastOf(data[i + 1]), this.unit)}`);
      const more = latest.length > 5 ? `, and ${latest.length - 5} more` : "";
      this.parts.plot.setAttribute(
        "aria-label",
        `${this.root.dataset.title}, ${clock(start, true)} to ${clock(end, true)} UTC. Latest: ${latest.slice(0, 5).join("; ")}${more}. ${this.episodeNote()} ${this.deployNote()}`,
      );
      if (this.parts.table.parentElement.open || !this.parts.table.firstChild) this.fillTable();
    }

    fillTable() {
      const table = element("table");
      const head = table.createTHead().insertRow();
      for (const title of ["Series", "Latest", "Lowest", "Highest"]) head.append(element("th", title));
      this.data.series.forEach((series, index) => {
        const known = this.data.data[index + 1].filter((value) => value !== null);
        const row = table.insertRow();
        row.append(element("th", series.label));
        const low = known.length ? known.reduce((a, b) => Math.min(a, b)) : null;
        const high = known.length ? known.reduce((a, b) => Math.max(a, b)) : null;
        for (const value of [lastOf(known), low, high]) row.append(element("td", worded(value, this.unit)));
      });
      this.parts.table.replaceChildren(table, ...this.episodeList());
    }

    episodeList() {
      const deploys = this.data.deploys || [];
      if (!this.data.episodes.length && !deploys.length) return [];
      const list = element("ul");
      for (const deploy of deploys) {
        const where = deploy.environment ? ` in ${deploy.environment}` : "";
        const item = element("li");
        const link = element("a", `Deploy: ${deploy.service} ${deploy.version}${where}, ${clock(deploy.at, true)}`);
        link.href = deploy.url;
        item.append(link);
        list.append(item);
      }
      for (const episode of this.data.episodes) {
        const item = element("li");
        const ends = episode.end ? clock(episode.end, true) : "still open";
        const text = `${episode.alertname} (${episode.severity || "no severity"}), ${clock(episode.start, true)} – ${ends}`;
        const link = element(episode.url ? "a" : "span", text);
        if (episode.url) link.href = episode.url;
        item.append(link);
        list.append(item);
      }
      return [list];
    }
  }

  return Chart;
})();
