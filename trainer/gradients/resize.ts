import { floatAttribute, intAttribute, textAttribute } from '../onnx/attributes.js';
import { unsupported } from '../shapes/values.js';
import type { NodeGradient } from './nodeGradient.js';

/** Along one axis Resize is linear: row i of this [to, from] matrix says what output i takes from the inputs (ONNX Resize-19). */
export function interpolation(g: NodeGradient, axis: number, from: number, to: number): number[] {
  for (const name of ['antialias', 'exclude_outside'])
    if (intAttribute(g.node, name, 0) !== 0) throw unsupported(g.node, `has ${name}`);
  const scales = g.shapes.has(2) ? g.shapes.contents(2) : undefined;
  const scale = scales && scales.length > 0 ? (scales[axis] ?? 1) : to / from;
  const mode = textAttribute(g.node, 'mode', 'nearest');
  const place = textAttribute(g.node, 'coordinate_transformation_mode', 'half_pixel');
  return Array.from({ length: to }, (_, i) => {
    const row = Array<number>(from).fill(0);
    const at = original(g, place, i, scale, from, to);
    for (const [index, weight] of taps(g, mode, at)) {
      const within = Math.max(0, Math.min(from - 1, index));
      row[within] = (row[within] ?? 0) + weight;
    }
    return row;
  }).flat();
}

function original(
  g: NodeGradient,
  place: string,
  i: number,
  scale: number,
  from: number,
  to: number,
): number {
  switch (place) {
    case 'half_pixel':
      return (i + 0.5) / scale - 0.5;
    case 'pytorch_half_pixel':
      return to > 1 ? (i + 0.5) / scale - 0.5 : 0;
    case 'align_corners':
      return to > 1 ? (i * (from - 1)) / (to - 1) : 0;
    case 'asymmetric':
      return i / scale;
    default:
      throw unsupported(g.node, `has the coordinate transformation ${place}`);
  }
}

function taps(g: NodeGradient, mode: string, at: number): [number, number][] {
  const low = Math.floor(at);
  const t = at - low;
  switch (mode) {
    case 'nearest': {
      const how = textAttribute(g.node, 'nearest_mode', 'round_prefer_floor');
      const nearest = {
        floor: low,
        ceil: Math.ceil(at),
        round_prefer_floor: Math.ceil(at - 0.5),
        round_prefer_ceil: Math.floor(at + 0.5),
      }[how];
      if (nearest === undefined) throw unsupported(g.node, `rounds by ${how}`);
      return [[nearest, 1]];
    }
    case 'linear':
      return [
        [low, 1 - t],
        [low + 1, t],
      ];
    case 'cubic': {
      const a = floatAttribute(g.node, 'cubic_coeff_a', -0.75);
      const near = (d: number) => ((a + 2) * d - (a + 3)) * d * d + 1;
      const far = (d: number) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
      return [
        [low - 1, far(t + 1)],
        [low, near(t)],
        [low + 1, near(1 - t)],
        [low + 2, far(2 - t)],
      ];
    }
    default:
      throw unsupported(g.node, `has the mode ${mode}`);
  }
}
