import { intAttribute } from './onnx/attributes.js';
import type { GraphProto, NodeProto } from './onnx/onnx.gen.js';
import { elementCount, tensorShape, type Shape } from './onnx/tensor.js';
import type { Prepared } from './prepare.js';
import { inferShapes, isKnownOperator } from './shapes.js';
import type { Passed } from './compile/plan.js';

/**
 * The most bytes that one step needs at a time: what passes from step to step (twice, because a step writes beside what it
 * reads), constants, and the values that live at once when each is given back after its last use. It is an estimate:
 * onnxruntime reuses memory in larger pieces, and work space of its kernels is not counted.
 */
export function peakBytes(
  body: GraphProto,
  forward: Prepared,
  { passed, samples }: { passed: readonly Passed[]; samples: number },
): number {
  const state = passed.reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
  return 2 * state + bodyBytes(body, forward, samples);
}

function bodyBytes(body: GraphProto, forward: Prepared, samples: number): number {
  const shapes = new Map<string, Shape>(forward.known.shapes);
  for (const { name, type } of [...body.input, ...body.output])
    if (type?.value.case === 'tensorType')
      shapes.set(
        name,
        (type.value.value.shape?.dim ?? []).map(({ value }) =>
          value.case === 'dimValue' ? Number(value.value) : samples,
        ),
      );
  for (const tensor of body.initializer) shapes.set(tensor.name, tensorShape(tensor));
  const inner = body.node.map((node) => {
    learnShapes(node, body, shapes, forward);
    return node.attribute.reduce((most, { g }) => Math.max(most, g ? bodyBytes(g, forward, samples) : 0), 0);
  });
  const lastUse = new Map(body.node.flatMap((node, at) => node.input.map((name) => [name, at] as const)));
  const outputs = new Set(body.output.map(({ name }) => name));
  const sizes = new Map<string, number>();
  const constants = body.initializer.reduce((sum, tensor) => sum + sizeOf(tensorShape(tensor)), 0);
  let [live, most] = [0, 0];
  body.node.forEach((node, at) => {
    for (const name of node.output) {
      const size = name ? sizeOf(shapes.get(name) ?? []) : 0;
      sizes.set(name, size);
      live += size;
    }
    most = Math.max(most, live + (inner[at] ?? 0));
    for (const name of new Set(node.input))
      if (lastUse.get(name) === at && !outputs.has(name)) {
        live -= sizes.get(name) ?? 0;
        sizes.delete(name);
      }
  });
  return constants + most;
}

/** Shapes of what a node of the backward pass makes; of a few (loops) the declared ones of their bodies. */
function learnShapes(node: NodeProto, body: GraphProto, shapes: Map<string, Shape>, forward: Prepared): void {
  if (node.output.every((name) => name === '' || shapes.has(name))) return;
  if (node.opType === 'Scan') {
    const graph = node.attribute.find(({ name }) => name === 'body')?.g;
    const states = node.input.length - intAttribute(node, 'num_scan_inputs', 0);
    const steps = shapes.get(node.input[states] ?? '')?.[0] ?? 1;
    graph?.output.forEach(({ type }, index) => {
      const dims = type?.value.case === 'tensorType' ? (type.value.value.shape?.dim ?? []) : [];
      const shape = dims.map(({ value }) => (value.case === 'dimValue' ? Number(value.value) : 1));
      shapes.set(node.output[index] ?? '', index < states ? shape : [steps, ...shape]);
    });
    return;
  }
  const inputs = new Map(
    node.input.flatMap((name) => (shapes.has(name) ? [[name, shapes.get(name) ?? []]] : [])),
  );
  const constants = body.initializer.filter(({ name }) => node.input.includes(name));
  for (const { name } of constants) inputs.delete(name);
  try {
    if (!isKnownOperator(node)) throw new Error('no rule');
    const { shapes: found } = inferShapes([node], constants, inputs, forward.opset);
    for (const name of node.output) if (found.has(name)) shapes.set(name, found.get(name) ?? []);
  } catch {
    // No rule, or one that asks for contents: as large as what it reads.
    const largest = [...inputs.values()].reduce<Shape>(
      (most, shape) => (elementCount(shape) > elementCount(most) ? shape : most),
      [],
    );
    for (const name of node.output) if (name && !shapes.has(name)) shapes.set(name, largest);
  }
}

function sizeOf(shape: Shape): number {
  return 4 * elementCount(shape);
}
