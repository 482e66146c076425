import { blockedForm } from './blocked/forms.js';
import { BlockedWriter } from './blocked/writer.js';
import { intsAttribute } from './onnx/attributes.js';
import type { GraphBuilder } from './onnx/builder.js';
import type { NodeProto } from './onnx/onnx.gen.js';
import { readNumbers, type Shape } from './onnx/tensor.js';

/**
 * Replaces convolutions by onnxruntime's blocked ones where these are faster. onnxruntime does so itself only where the
 * filters are constants of the graph; those of a training change from step to step, so here the graph brings them into
 * blocks. Values agree within rounding.
 * @param builder forward and backward pass of a fixed batch
 * @param shapes of the forward pass and its gradients; learns those of the new values
 * @param block channels in a block of this machine's kernels (run/blockSize.ts)
 */
export function blockConvolutions(builder: GraphBuilder, shapes: Map<string, Shape>, block: number): void {
  const nodes = builder.nodes.splice(0);
  const writer = new BlockedWriter(builder, shapes, block);
  const shapeOf = shapeReader(nodes, builder, shapes);
  const readers = new Map<string, NodeProto[]>();
  for (const node of nodes)
    for (const name of node.input) readers.set(name, [...(readers.get(name) ?? []), node]);
  const merged = new Set<NodeProto>();
  for (const node of nodes) {
    if (merged.has(node)) continue;
    const isConvolution = node.domain === '' && (node.opType === 'Conv' || node.opType === 'ConvTranspose');
    const [image, filters] = isConvolution ? node.input.slice(0, 2).map(shapeOf) : [];
    const form = image && filters ? blockedForm({ node, image, filters }, block) : undefined;
    if (!form) {
      builder.nodes.push(node);
      continue;
    }
    const [result = ''] = node.output;
    const [reader, ...others] = readers.get(result) ?? [];
    const relu = form.rectifies && reader?.opType === 'Relu' && others.length === 0 ? reader : undefined;
    if (relu) merged.add(relu);
    form.write(writer, relu?.output[0] ?? result, relu !== undefined);
  }
}

/** Shapes that are known, and those of values that were only brought into another form. */
function shapeReader(
  nodes: readonly NodeProto[],
  builder: GraphBuilder,
  shapes: ReadonlyMap<string, Shape>,
): (name: string) => Shape | undefined {
  const makers = new Map(nodes.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const constants = new Map(builder.constants.map((constant) => [constant.name, constant]));
  const shapeOf = (name: string): Shape | undefined => {
    const known = shapes.get(name);
    const maker = makers.get(name);
    if (known || !maker) return known;
    if (maker.opType === 'Reshape') {
      const target = constants.get(maker.input[1] ?? '');
      const dims = target ? readNumbers(target) : undefined;
      return dims?.every((dim) => dim > 0) ? dims : undefined;
    }
    if (maker.opType !== 'Transpose') return undefined;
    const [before, perm] = [shapeOf(maker.input[0] ?? ''), intsAttribute(maker, 'perm')];
    return before && perm?.map((axis) => before[axis] ?? 0);
  };
  return shapeOf;
}
