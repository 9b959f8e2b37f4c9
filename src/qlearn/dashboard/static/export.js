/* A chart as a file of its own: colours and letters stand in it, no stylesheet is needed. */

import { svg } from "./dom.js";

const STYLES = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-opacity",
  "stroke-dasharray",
  "stroke-linecap",
  "stroke-linejoin",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
  "text-anchor",
  "dominant-baseline",
];
const HEAD = 64;
const SHARPNESS = 2; // pixels of the PNG for each of the page

function copyStyles(from, to) {
  const computed = getComputedStyle(from);
  to.removeAttribute("style");
  to.removeAttribute("class");
  for (const name of STYLES) to.setAttribute(name, computed.getPropertyValue(name));
  [...from.children].forEach((child, n) => copyStyles(child, to.children[n]));
}

/** The drawing with its title and legend above it. */
export function standalone(chart) {
  if (!chart.frame) chart.draw();
  const { width, height } = chart;
  const page = getComputedStyle(chart.element);
  const ink = page.color;
  const font = page.fontFamily;
  const copy = chart.drawing.cloneNode(true);
  copyStyles(chart.drawing, copy);
  const text = (x, y, words, properties) =>
    svg("text", { x, y, fill: ink, "font-family": font, "font-size": 12, ...properties }, words);
  const legend = [];
  let x = 16;
  for (const item of chart.legend.children) {
    if (chart.hidden.has(item.name)) continue;
    const key = getComputedStyle(item.querySelector(".key")).getPropertyValue("color");
    legend.push(
      svg("rect", { x, y: 40, width: 14, height: 4, rx: 2, fill: key }),
      text(x + 20, 46, item.name),
    );
    x += 44 + 7 * item.name.length;
  }
  return svg(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      width,
      height: height + HEAD,
      viewBox: `0 0 ${width} ${height + HEAD}`,
    },
    svg("rect", { width, height: height + HEAD, fill: page.backgroundColor }),
    text(16, 26, chart.options.title, { "font-size": 15, "font-weight": 600 }),
    legend,
    svg("g", { transform: `translate(0 ${HEAD})` }, ...copy.childNodes),
  );
}

export function png(drawing) {
  const width = Number(drawing.getAttribute("width"));
  const height = Number(drawing.getAttribute("height"));
  const address = URL.createObjectURL(
    new Blob([new XMLSerializer().serializeToString(drawing)], { type: "image/svg+xml" }),
  );
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = SHARPNESS * width;
      canvas.height = SHARPNESS * height;
      const pen = canvas.getContext("2d");
      pen.scale(SHARPNESS, SHARPNESS);
      pen.drawImage(image, 0, 0, width, height);
      URL.revokeObjectURL(address);
      canvas.toBlob(resolve, "image/png");
    };
    image.onerror = () => reject(new Error("the picture could not be drawn"));
    image.src = address;
  });
}

/** A cell that a spreadsheet takes as text, whatever a run is called. */
const cell = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;

export function csv(series) {
  const lines = ["series,x,mean,low,high"];
  for (const { name, x, mean, low, high } of series)
    x.forEach((at, n) =>
      lines.push([cell(name), at, mean[n] ?? "", low?.[n] ?? "", high?.[n] ?? ""].join(",")),
    );
  return `${lines.join("\n")}\n`;
}

export function download(name, blob) {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name.replace(/[^\w.\- ]+/g, "_");
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
