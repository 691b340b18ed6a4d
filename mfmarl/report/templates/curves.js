/* Learning curves: one table at a time; every run is drawn, and the middle of each method's runs. */
function curvesView(tables) {
  const plot = element("curves-plot");
  const SEEDS = ["every seed, and the mean", "the mean alone", "median and middle half"];
  let table, hidden;

  const chosen = (id) => Number(element(id).value);

  function openTable() {
    table = tables[chosen("curves-table")];
    hidden = new Set();
    const choices = element("curves-choices");
    while (choices.children.length > 1) choices.lastChild.remove();
    table.facets.forEach((facet, index) => {
      const box = choice(`curves-facet-${index}`, facet.label, facet.values, draw);
      box.hidden = facet.values.length < 2;
      choices.append(box);
    });
    choices.append(choice("curves-metric", "Drawn", table.metrics, draw));
    const seeds = [...new Set(table.runs.map((run) => run[3]))].sort((a, b) => a - b);
    const labels = [...SEEDS, ...seeds.map((seed) => `seed ${seed}`)];
    choices.append(choice("curves-seeds", "Seeds", labels, draw));
    showCommands(element("curves-command"), table.command);
    drawMethods();
    draw();
  }

  function drawMethods() {
    element("curves-methods").replaceChildren(...table.methods.map((method, index) => {
      const label = make("label");
      const box = make("input", "", { type: "checkbox", checked: "" });
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(index); else hidden.add(index);
        draw();
      });
      const swatch = make("span", "", { class: "swatch" });
      swatch.style.background = visible(method.colour);
      label.append(box, swatch, method.label);
      return label;
    }));
  }

  /* The runs in view, by method; those of other lengths than the longest stay out of means. */
  function inView() {
    const places = table.facets.map((_, index) => chosen(`curves-facet-${index}`));
    const seeds = chosen("curves-seeds") - SEEDS.length;
    const wanted = seeds < 0 ? null : Number(element("curves-seeds").selectedOptions[0].text.slice(5));
    return table.methods.map((method, index) => table.runs.filter((run) =>
      run[1] === index && run[0].every((place, facet) => place === places[facet]) && (wanted === null || run[3] === wanted)));
  }

  function line(method, steps, values, more) {
    const { width = 2.5, ...rest } = more;
    return { x: steps, y: values, mode: "lines", name: method.label, hoverinfo: "x+y+name",
      line: { color: visible(method.colour), dash: method.dash, width }, ...rest };
  }

  function traces(method, runs) {
    const metric = chosen("curves-metric"), mode = chosen("curves-seeds");
    const steps = table.steps[runs[0][2]];
    const values = runs.map((run) => run[4][metric]);
    if (values[0].every((value) => value === null)) return [];
    if (mode >= SEEDS.length) return [line(method, steps, values[0], {})];
    const at = (step, share) => quantile(values.map((run) => run[step]), share);
    const mean = steps.map((_, step) => values.reduce((sum, run) => sum + run[step], 0) / values.length);
    if (mode === 2) {
      const high = steps.map((_, step) => at(step, 0.75)), low = steps.map((_, step) => at(step, 0.25));
      const middle = { width: 0, hoverinfo: "skip" };
      const fill = { ...middle, fill: "tonexty", fillcolor: `${visible(method.colour)}33` };
      return [line(method, steps, low, middle), line(method, steps, high, fill),
        line(method, steps, steps.map((_, step) => at(step, 0.5)), {})];
    }
    const each = mode === 1 ? [] : runs.map((run, index) =>
      line(method, steps, values[index], { width: 1, opacity: 0.3, name: `${method.label}, seed ${run[3]}` }));
    return [...each, line(method, steps, mean, {})];
  }

  function draw() {
    const seen = inView();
    const drawn = table.methods.map((method, index) =>
      hidden.has(index) || !seen[index].length ? [] : traces(method, seen[index]));
    const axis = { gridcolor: themed("line"), zeroline: false, linecolor: themed("line"), automargin: true };
    Plotly.react(plot, drawn.flat(), {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 13, color: themed("ink") },
      margin: { l: 56, r: 12, t: 12, b: 48 }, showlegend: false, hovermode: "closest",
      xaxis: { ...axis, title: { text: table.x } },
      yaxis: { ...axis, title: { text: table.metrics[chosen("curves-metric")] } },
    }, { responsive: true, displaylogo: false, displayModeBar: false });
    const lines = drawn.filter((some) => some.length).length;
    const nobody = table.methods.filter((_, index) => !seen[index].length).map((method) => method.label);
    element("curves-told").textContent = `${lines} of ${table.methods.length} methods are drawn.`
      + (nobody.length ? ` Not run here: ${nobody.join(", ")}.` : "");
    drawEnds(seen);
  }

  /* A table of where the curves end, for who cannot see them. */
  function drawEnds(seen) {
    const metric = chosen("curves-metric");
    const head = make("tr");
    for (const name of ["Method", "Seeds", "Mean", "Lowest", "Highest"]) {
      head.append(make("th", name, { scope: "col" }));
    }
    const rows = table.methods.flatMap((method, index) => {
      const ends = seen[index].map((run) => run[4][metric].at(-1)).filter((value) => value !== null);
      if (hidden.has(index) || !ends.length) return [];
      const mean = ends.reduce((sum, value) => sum + value, 0) / ends.length;
      const row = make("tr");
      row.append(make("th", method.label, { scope: "row" }));
      for (const value of [ends.length, mean, Math.min(...ends), Math.max(...ends)]) row.append(make("td", shown(value)));
      return [row];
    });
    element("curves-ends").replaceChildren(make("caption", `${table.metrics[metric]}, at the end`), head, ...rows);
  }

  const titles = tables.map((each) => each.title);
  element("curves-choices").append(choice("curves-table", "Experiment", titles, openTable));
  openTable();
  dark.addEventListener("change", () => { drawMethods(); draw(); });
}

/* A quantile by linear interpolation. */
function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  const place = share * (sorted.length - 1), below = Math.floor(place);
  return sorted[below] + (place - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}
