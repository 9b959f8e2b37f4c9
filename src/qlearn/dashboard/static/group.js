/* What charts have in common: the part of a run they show, the place of the crosshair, the axis. */

import { choice } from "./dom.js";

/** What x may be, and its unit. */
export const UNITS = { env_steps: "steps", seconds: "s" };

export const axisChoice = (chosen, work) =>
  choice("Horizontal axis", { env_steps: "steps", seconds: "time" }, chosen, work);

/** Index of the value of a rising list that is nearest to `x`. */
export function nearest(list, x) {
  let low = 0;
  let high = list.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - list[low - 1] < list[low] - x ? low - 1 : low;
}

/** What several charts have in common. */
export class Group {
  constructor(zoomed = () => {}) {
    this.charts = new Set();
    this.zoom = null;
    this.at = null;
    this.ends = null;
    this.zoomed = zoomed;
  }

  /** From the first x of all charts to the last; where only a part was asked for, it is told. */
  get whole() {
    if (this.ends) return this.ends;
    let low = Infinity;
    let high = -Infinity;
    for (const chart of this.charts)
      for (const { x } of chart.series)
        if (x.length) {
          low = Math.min(low, x[0]);
          high = Math.max(high, x[x.length - 1]);
        }
    return low <= high ? [low, high > low ? high : low + 1] : [0, 1];
  }

  get range() {
    return this.zoom ?? this.whole;
  }

  hover(at) {
    this.at = at;
    for (const chart of this.charts) chart.point();
  }

  show(zoom) {
    const [low, high] = this.whole;
    if (zoom) zoom = [Math.max(low, zoom[0]), Math.min(high, zoom[1])];
    this.zoom = zoom && zoom[1] - zoom[0] > 1e-9 * (high - low) ? zoom : null;
    this.redraw();
    this.zoomed(this.zoom);
  }

  redraw() {
    for (const chart of this.charts) chart.ask();
  }
}
