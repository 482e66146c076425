import { describe, expect, test } from '@jest/globals';
import { intsAttribute, textAttribute } from '#trainer/onnx/attributes.js';
import { GraphBuilder, type Attribute } from '#trainer/onnx/builder.js';
import { withExplicitPads } from '#trainer/shapes/windows.js';

/** A convolution of an image with a kernel, as it is given to onnxruntime. */
function explicit(image: number[], kernel: number[], attributes: Record<string, Attribute>) {
  const builder = new GraphBuilder();
  const node = builder.add('Conv', ['x', 'w'], ['y'], attributes);
  const shapes = new Map([
    ['x', [1, 1, ...image]],
    ['w', [1, 1, ...kernel]],
  ]);
  return withExplicitPads(node, (name) => shapes.get(name) ?? []);
}

describe('automatic pads become numbers', () => {
  test.each([
    ['SAME_UPPER', [8, 8], [4, 3], {}, [1, 1, 2, 1]],
    ['SAME_LOWER', [8, 8], [4, 3], {}, [2, 1, 1, 1]],
    ['SAME_UPPER', [7], [3], { dilations: [2] }, [2, 2]],
    ['SAME_UPPER', [7], [3], { strides: [2] }, [1, 1]],
    ['SAME_UPPER', [8], [3], { strides: [2] }, [0, 1]],
    ['SAME_UPPER', [4], [1], { strides: [3] }, [0, 0]],
  ])('%s of %j with %j, %j', (kind, image, kernel, attributes, pads) => {
    const node = explicit(image, kernel, { ...attributes, auto_pad: kind });
    expect(intsAttribute(node, 'pads')).toEqual(pads);
    expect(textAttribute(node, 'auto_pad', 'none')).toBe('none');
  });

  test('and given ones stay', () => {
    const node = explicit([8], [3], { pads: [1, 0], auto_pad: 'NOTSET' });
    expect(intsAttribute(node, 'pads')).toEqual([1, 0]);
  });
});
