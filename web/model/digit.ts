/** A digit drawn by hand, as the pictures of MNIST were made: 20 pixels large, in the middle of 28 by its centre of mass. */

/** Points of a line that was drawn without lifting the pen; any unit. */
export type Stroke = readonly (readonly [x: number, y: number])[];

const side = 28;
const large = 20;
/** Half the width of the pen, in pixels of the picture. */
const pen = 1.1;

/** 784 values from 0 (paper) to 1 (ink), row by row; all 0 where nothing was drawn. */
export function picture(strokes: readonly Stroke[]): Float32Array {
  const points = strokes.flat();
  if (points.length === 0) return new Float32Array(side * side);
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const size = Math.max(Math.max(...xs) - left, Math.max(...ys) - top, 1e-9);
  const scale = (large - 2 * pen) / size;
  const placed = strokes.map((stroke) =>
    stroke.map(([x, y]) => [(x - left) * scale, (y - top) * scale] as const),
  );
  const [x, y] = centre(ink(placed, 4, 4));
  return ink(placed, side / 2 - x + 4, side / 2 - y + 4);
}

/** Example digits, for those who do not draw; in the unit square. */
export const examples: readonly (readonly Stroke[])[] = [
  [ellipse(0.5, 0.5, 0.33, 0.48)],
  [
    [
      [0.35, 0.2],
      [0.55, 0],
      [0.55, 1],
    ],
  ],
  [
    [
      [0.2, 0.25],
      [0.35, 0.04],
      [0.65, 0.04],
      [0.8, 0.25],
      [0.65, 0.5],
      [0.2, 1],
      [0.85, 1],
    ],
  ],
  [
    [
      [0.2, 0.05],
      [0.6, 0],
      [0.8, 0.2],
      [0.7, 0.42],
      [0.45, 0.48],
      [0.75, 0.55],
      [0.82, 0.8],
      [0.6, 1],
      [0.2, 0.95],
    ],
  ],
  [
    [
      [0.3, 0],
      [0.2, 0.5],
      [0.8, 0.5],
    ],
    [
      [0.75, 0.1],
      [0.7, 1],
    ],
  ],
  [
    [
      [0.8, 0],
      [0.3, 0],
      [0.25, 0.45],
      [0.6, 0.42],
      [0.8, 0.65],
      [0.65, 0.95],
      [0.2, 1],
    ],
  ],
  [
    [
      [0.65, 0],
      [0.35, 0.35],
      [0.25, 0.7],
      [0.4, 0.98],
      [0.65, 0.95],
      [0.75, 0.7],
      [0.55, 0.52],
      [0.3, 0.65],
    ],
  ],
  [
    [
      [0.2, 0.02],
      [0.8, 0],
      [0.6, 0.45],
      [0.45, 1],
    ],
  ],
  [ellipse(0.5, 0.25, 0.22, 0.25), ellipse(0.5, 0.75, 0.27, 0.25)],
  [
    ellipse(0.5, 0.27, 0.24, 0.27),
    [
      [0.74, 0.27],
      [0.7, 0.65],
      [0.55, 1],
    ],
  ],
];

function ellipse(x: number, y: number, width: number, height: number): Stroke {
  return Array.from({ length: 25 }, (_, i) => {
    const angle = (2 * Math.PI * i) / 24;
    return [x + width * Math.cos(angle), y + height * Math.sin(angle)] as const;
  });
}

/** Each pixel is as dark as the pen covers it: by its distance to the nearest line. */
function ink(strokes: readonly Stroke[], x: number, y: number): Float32Array {
  const pixels = new Float32Array(side * side);
  for (let i = 0; i < pixels.length; i++) {
    const at = [(i % side) + 0.5 - x, Math.floor(i / side) + 0.5 - y] as const;
    let nearest = Infinity;
    for (const stroke of strokes)
      stroke.forEach((to, j) => (nearest = Math.min(nearest, distance(at, stroke[j - 1] ?? to, to))));
    pixels[i] = Math.max(0, Math.min(1, pen + 0.5 - nearest));
  }
  return pixels;
}

type Point = readonly [number, number];

function distance([x, y]: Point, [x1, y1]: Point, [x2, y2]: Point): number {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / length));
  return Math.hypot(x - x1 - along * dx, y - y1 - along * dy);
}

function centre(pixels: Float32Array): Point {
  let [mass, x, y] = [0, 0, 0];
  pixels.forEach((value, i) => {
    mass += value;
    x += value * ((i % side) + 0.5);
    y += value * (Math.floor(i / side) + 0.5);
  });
  return mass === 0 ? [side / 2, side / 2] : [x / mass, y / mass];
}
