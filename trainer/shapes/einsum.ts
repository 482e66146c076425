import { textAttribute } from '../onnx/attributes.js';
import type { Shape } from '../onnx/tensor.js';
import { mismatch, text, unsupported, type NodeShapes } from './values.js';

/** What an Einsum multiplies and sums: a letter for each axis, an ellipsis as letters of its own. */
export interface Equation {
  readonly inputs: readonly string[];
  readonly output: string;
}

export function einsumShape(s: NodeShapes): Shape {
  const { inputs, output } = readEinsum(s);
  const sizes = new Map<string, number>();
  inputs.forEach((letters, index) => {
    const shape = s.input(index);
    if (letters.length !== shape.length) throw mismatch(s.node, `reads ${text(shape)} as ${letters}`);
    [...letters].forEach((letter, axis) => {
      const size = shape[axis] ?? 1;
      if ((sizes.get(letter) ?? size) !== size) throw mismatch(s.node, `gives ${letter} two sizes`);
      sizes.set(letter, size);
    });
  });
  return [...output].map((letter) => sizes.get(letter) ?? 1);
}

/** Without an arrow the result has the ellipsis and the letters that occur once, in order. */
export function readEinsum(s: NodeShapes): Equation {
  const equation = textAttribute(s.node, 'equation', '').replaceAll(' ', '');
  const [left = '', right] = equation.split('->');
  const given = left.split(',');
  const open = given.map((letters, index) =>
    letters.includes('...') ? s.input(index).length - (letters.length - 3) : 0,
  );
  const free = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'].filter(
    (letter) => !equation.includes(letter),
  );
  // Ellipses meet from the right, like the axes of values that are broadcast.
  const axes = free.slice(0, Math.max(0, ...open)).join('');
  const spell = (letters: string, count: number) => letters.replace('...', axes.slice(axes.length - count));
  const inputs = given.map((letters, index) => spell(letters, open[index] ?? 0));
  if (inputs.some((letters) => new Set(letters).size !== letters.length))
    throw unsupported(s.node, `has the equation ${equation}; diagonals are not supported`);
  const once = [...new Set(left.replaceAll(/[.,]/g, ''))].filter((l) => left.split(l).length === 2).sort();
  return { inputs, output: spell(right ?? `...${once.join('')}`, axes.length) };
}
