// The report's chart: impressions and clicks as lines, spend as bars, by hour.
import { use, init } from "echarts/core";
import { BarChart, LineChart } from "echarts/charts";
import { DataZoomInsideComponent, GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { CanvasRenderer } from "echarts/renderers";

use([BarChart, LineChart, DataZoomInsideComponent, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer]);

// The element's data-chart is {"hours": [text], "series": [{"name", "kind", "axis", "values"}]}.
export function chart(element) {
  const data = JSON.parse(element.dataset.chart);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawing = init(element);
  const draw = () => drawing.setOption(options(data, colours(element, dark.matches)), true);
  dark.addEventListener("change", draw);
  new ResizeObserver(() => drawing.resize()).observe(element);
  draw();
}

function colours(element, dark) {
  return {
    text: getComputedStyle(element).color,
    font: getComputedStyle(element).fontFamily, // a canvas inherits none
    line: dark ? "#3b4656" : "#e3e8ef",
    panel: dark ? "#1f2937" : "#ffffff",
    series: dark ? ["#4c8dff", "#f5a524", "#3f9f7f"] : ["#2f62e0", "#c26a00", "#8fd3bb"],
  };
}

function options(data, colour) {
  const axis = (side, split) => ({
    type: "value",
    position: side,
    splitNumber: 4,
    axisLabel: { color: colour.text, formatter: (n) => Intl.NumberFormat(undefined, { notation: "compact" }).format(n) },
    splitLine: { show: split, lineStyle: { color: colour.line } },
  });
  return {
    color: colour.series,
    textStyle: { fontFamily: colour.font },
    animationDuration: 300,
    aria: { enabled: false }, // the element has its own label, and a table below
    grid: { left: 4, right: 4, top: 36, bottom: 4, containLabel: true },
    legend: { top: 0, textStyle: { color: colour.text } },
    // Drawn on the canvas: markup with inline styles would fall to the content security policy.
    tooltip: { trigger: "axis", renderMode: "richText", confine: true, backgroundColor: colour.panel, textStyle: { color: colour.text } },
    dataZoom: [{ type: "inside", zoomOnMouseWheel: "ctrl" }],
    xAxis: { type: "category", data: data.hours, axisLabel: { color: colour.text, hideOverlap: true }, axisLine: { lineStyle: { color: colour.line } } },
    yAxis: [axis("left", true), axis("right", false)],
    series: data.series.map((s) => ({
      name: s.name,
      type: s.kind,
      yAxisIndex: s.axis,
      data: s.values,
      showSymbol: data.hours.length < 3,
      smooth: 0.2,
      lineStyle: { width: 2 },
      z: s.kind === "line" ? 3 : 2,
      barMaxWidth: 28,
    })),
  };
}
