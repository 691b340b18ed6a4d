/* Unpacks what the page holds, and opens each view that there is data for. */
async function start() {
  const data = JSON.parse(await unpackText("data"));
  if (data.lattice) latticeView(data.lattice, await unpack("lattice"));
  if (data.battles.length) await battleView(data.battles);
  if (data.curves.length) {
    document.head.append(make("script", await unpackText("plotly")));
    curvesView(data.curves);
  }
  document.documentElement.classList.add("ready");
}

start().catch((error) => {
  document.querySelector("main").prepend(make("p", `The interactive parts need a newer browser (${error}).`, { class: "warning" }));
  throw error;
});
