/* Draws a scene, a list of shapes in roles instead of colours, on a canvas. */

import { colour } from "./colours.js";

const AHEAD = 12; // frames whose pictures are decoded before they are due
const KEPT = 64;
const PLAIN = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const MONO =
  "ui-monospace, 'SF Mono', 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace";
const pictures = new Map();

/** A frame of a game that comes as pixels; decoded once, the oldest forgotten. */
function picture(data) {
  let image = pictures.get(data);
  if (!image) {
    image = new Image();
    image.src = `data:image/${data.startsWith("iVBOR") ? "png" : "webp"};base64,${data}`;
    pictures.set(data, image);
    if (pictures.size > KEPT) pictures.delete(pictures.keys().next().value);
  }
  return image;
}

/** Has the pictures of the next frames decoded. */
export function prepare(frames, from) {
  for (const { scene } of frames.slice(from, from + AHEAD))
    for (const shape of scene.shapes) if (shape.kind === "image") picture(shape.data);
}

const DRAWS = {
  rect(pen, { x, y, w, h, r = 0 }) {
    pen.beginPath();
    pen.roundRect(x, y, w, h, r);
  },
  circle(pen, { x, y, r }) {
    pen.beginPath();
    pen.arc(x, y, r, 0, 2 * Math.PI);
  },
  line(pen, { points }) {
    pen.beginPath();
    points.forEach(([x, y], n) => (n ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  },
};

function draw(pen, shape, again) {
  pen.globalAlpha = shape.alpha ?? 1;
  if (shape.kind === "text") {
    pen.font = `${shape.size ?? 12}px ${shape.font === "mono" ? MONO : PLAIN}`;
    pen.textAlign = { middle: "center", end: "right" }[shape.anchor] ?? "left";
    pen.textBaseline = "alphabetic";
    pen.fillStyle = colour(shape.fill ?? "ink");
    pen.fillText(shape.text, shape.x, shape.y);
  } else if (shape.kind === "image") {
    const image = picture(shape.data);
    if (image.complete && image.naturalWidth)
      pen.drawImage(image, shape.x, shape.y, shape.w, shape.h);
    else image.addEventListener("load", again, { once: true });
  } else if (DRAWS[shape.kind]) {
    DRAWS[shape.kind](pen, shape);
    if (shape.fill && shape.kind !== "line") {
      pen.fillStyle = colour(shape.fill);
      pen.fill();
    }
    const stroke = shape.stroke ?? (shape.kind === "line" ? shape.fill : null);
    if (stroke) {
      pen.strokeStyle = colour(stroke);
      pen.lineWidth = shape.width ?? 1;
      pen.lineJoin = pen.lineCap = "round";
      pen.stroke();
    }
  }
}

/** The scene as large as the canvas is wide; `again` is called when a late picture has come. */
export function paint(canvas, scene, ground, again) {
  const ratio = devicePixelRatio || 1;
  const wide = canvas.clientWidth;
  const high = (wide * scene.height) / scene.width;
  canvas.style.aspectRatio = `${scene.width} / ${scene.height}`;
  if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) {
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
  }
  const pen = canvas.getContext("2d");
  const scale = (wide * ratio) / scene.width;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  for (const shape of [...(ground ?? []), ...scene.shapes]) draw(pen, shape, again);
  pen.globalAlpha = 1;
}

const within = {
  rect: ({ x, y, w, h }, at) => at.x >= x && at.x <= x + w && at.y >= y && at.y <= y + h,
  circle: ({ x, y, r }, at) => (at.x - x) ** 2 + (at.y - y) ** 2 <= r * r,
};
within.image = within.rect;

/** What the topmost shape there says of itself. */
export function tipAt(canvas, scene, ground, event) {
  const box = canvas.getBoundingClientRect();
  const scale = scene.width / box.width;
  const at = { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  const all = [...(ground ?? []), ...scene.shapes];
  return all.findLast((shape) => shape.tip && within[shape.kind]?.(shape, at))?.tip ?? "";
}
