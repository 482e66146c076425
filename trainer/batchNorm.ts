import { RoundtableError } from '#core/errors.js';
import type { NodeGradient } from './gradients/nodeGradient.js';
import type { Graph } from './graph.js';
import type { WeightTensor } from './model.js';
import { describeNode, floatAttribute } from './onnx/attributes.js';
import { attribute, nodeLike, type Names } from './onnx/builder.js';
import type { GraphProto, NodeProto } from './onnx/onnx.gen.js';
import { elementCount, floatTensor, readFloats, tensorShape, type Shape } from './onnx/tensor.js';

/**
 * The running statistics of a graph's BatchNormalizations (Ioffe and Szegedy 2015), as the file has them. With
 * `batchNorm: local` they belong to whoever trains: each runner keeps its own, and nothing averages them (Li et al. 2021;
 * Andreux et al. 2020, who like us average scale and shift).
 * @throws MODEL_UNSUPPORTED where there are none, or where one is no constant of the graph
 */
export function statisticsOf(graph: Pick<Graph, 'nodes' | 'constants'>): WeightTensor[] {
  const constants = new Map(graph.constants.map((tensor) => [tensor.name, tensor]));
  const found = new Map<string, WeightTensor>();
  for (const { node, names } of normsOf(graph.nodes))
    names.forEach((name, index) => {
      const tensor = constants.get(node.input[3 + index] ?? '');
      if (!tensor)
        throw new RoundtableError(
          'MODEL_UNSUPPORTED',
          `The ${describeNode(node)} reads ${node.input[3 + index]} as a running statistic; a constant of the model is expected.`,
        );
      found.set(name, { name, dims: tensorShape(tensor), data: readFloats(tensor) });
    });
  if (found.size === 0)
    throw new RoundtableError(
      'MODEL_UNSUPPORTED',
      'The model has no BatchNormalization whose statistics could be local: exporters fold it into the convolution before it. Export with training=torch.onnx.TrainingMode.PRESERVE and do_constant_folding=False, or with dynamo=True and optimize=False; or leave out batchNorm.',
    );
  return [...found.values()];
}

/** The graph whose norms take the statistics of each batch and add them to running ones, which pass from step to step. */
export function withLocalStatistics(graph: Graph, names: Names): Graph {
  const statistics = statisticsOf(graph);
  const newest = new Map(statistics.map(({ name }) => [name, name]));
  const norms = new Map(normsOf(graph.nodes).map((norm) => [norm.node, norm.names]));
  const nodes = graph.nodes.map((node) => {
    const own = norms.get(node);
    if (!own) return node;
    const read = own.map((name) => newest.get(name) ?? name);
    const written = own.map((name) => names.fresh(`${name}/next`));
    own.forEach((name, index) => newest.set(name, written[index] ?? ''));
    const input = [...node.input.slice(0, 3), ...read];
    return withForm(nodeLike(node, { input, output: [node.output[0] ?? '', ...written] }), 1);
  });
  return {
    ...graph,
    nodes,
    constants: graph.constants.filter(({ name }) => !newest.has(name)),
    states: statistics.map(({ name, dims }) => ({ name, shape: dims, after: newest.get(name) ?? '' })),
  };
}

/** Gives a graph other statistics, by which it normalises: how a model that was trained with local ones is used. */
export function fixStatistics(graph: GraphProto, statistics: readonly WeightTensor[]): void {
  const norms = new Map(normsOf(graph.node).map((norm) => [norm.node, norm.names]));
  const given = new Set(statistics.map(({ name }) => name));
  graph.initializer = [
    ...graph.initializer.filter(({ name }) => !given.has(name)),
    ...statistics.map(({ name, dims, data }) => floatTensor(name, dims, data)),
  ];
  graph.node = graph.node.map((node) => {
    const own = norms.get(node);
    if (!own) return node;
    const input = [...node.input.slice(0, 3), ...own];
    return withForm(nodeLike(node, { input, output: node.output.slice(0, 1) }), 0);
  });
}

/**
 * Each norm and names for its two statistics: those of the constants it reads. Exporters merge constants of equal value, as
 * the statistics of untrained norms are; only a norm that also shares the scale is the same norm, used twice.
 */
function normsOf(nodes: readonly NodeProto[]): { node: NodeProto; names: string[] }[] {
  const owners = new Map<string, string>();
  return nodes.filter(isNorm).map((node) => {
    const [, scale = '', , ...statistics] = node.input;
    const names = statistics.slice(0, 2).map((name) => {
      const owner = owners.get(name) ?? scale;
      owners.set(name, owner);
      return owner === scale ? name : `${name}/${scale}`;
    });
    return { node, names };
  });
}

/**
 * y = (x - mean) / sqrt(variance + epsilon) * scale + shift.
 * @param across gives a value for each channel the axes of the image
 */
export function normalise(
  g: NodeGradient,
  centred: string,
  variance: string,
  across: (value: string) => string,
): string {
  const deviation = g.emit('Sqrt', [g.add(variance, floatAttribute(g.node, 'epsilon', 1e-5))]);
  return g.add(g.mul(centred, g.emit('Div', [across(g.input(1)), deviation])), across(g.input(2)));
}

/**
 * By the statistics of this batch. Where the node has further outputs, they are the running statistics after it, with the
 * unbiased variance, as torch.nn.BatchNorm keeps them (ONNX says the biased one).
 * @param average mean of a value over all axes but the channels, which stay as ones
 * @param count values that are averaged; used for the running statistics only
 */
export function normaliseByBatch(
  g: NodeGradient,
  average: (value: string, axes: readonly number[]) => string,
  count: number,
): string {
  const [, channels = 1, ...image] = g.inputShape(0);
  const axes = [0, ...image.map((_, axis) => axis + 2)];
  const mean = average(g.input(0), axes);
  const centred = g.emit('Sub', [g.input(0), mean]);
  const variance = average(g.square(centred), axes);
  const kept = floatAttribute(g.node, 'momentum', 0.9);
  [mean, g.mul(variance, count / Math.max(1, count - 1))].forEach((value, index) => {
    const [before, after] = [g.input(3 + index), g.node.output[1 + index]];
    if (!after) return;
    const seen = g.mul(g.reshape(value, [channels]), 1 - kept);
    g.builder.node('Add', [g.mul(before, kept), seen], {}, after);
  });
  return normalise(g, centred, variance, (value) => g.reshape(value, perChannel(g.inputShape(0))));
}

/** [channels, 1, ...]: stretches over batch and image. */
export function perChannel([, channels = 1, ...image]: Shape): Shape {
  return [channels, ...image.map(() => 1)];
}

/** How many values a norm averages. */
export function averagedCount([batch = 1, , ...image]: Shape): number {
  return batch * elementCount(image);
}

export function isNorm({ opType }: NodeProto): boolean {
  return opType === 'BatchNormalization';
}

function withForm(node: NodeProto, training: 0 | 1): NodeProto {
  node.attribute = [
    ...node.attribute.filter(({ name }) => name !== 'training_mode'),
    attribute('training_mode', training),
  ];
  return node;
}
