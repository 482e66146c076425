/** What the exporters write beside the nodes: which parameters and modules they came from. */
import type { GraphProto, NodeProto } from '../onnx/onnx.gen.js';

interface Trace {
  readonly known: boolean;
  readonly parameters: ReadonlySet<string>;
  readonly buffers: ReadonlySet<string>;
  /** Other values that the call read; one that no node makes was folded into an initialiser. */
  readonly values: ReadonlySet<string>;
  /** Path of the module that was called, dots as underscores. */
  readonly module: string;
}

/** The parameters behind a node, as its exporter recorded them. */
export function traceOf(node: NodeProto): Trace {
  const value = (key: string) => node.metadataProps.find((entry) => entry.key === key)?.value;
  const call = value('pkg.torch.onnx.fx_node');
  const names = (kind: string) =>
    new Set([...(call ?? '').matchAll(new RegExp(`%${kind}_(\\w+)`, 'g'))].map(([, name = '']) => name));
  const scopes = [...(value('pkg.torch.onnx.name_scopes') ?? '').matchAll(/'([^']*)'/g)].map(
    ([, scope = '']) => scope,
  );
  const path = node.name.startsWith('/')
    ? node.name.split('/').slice(1, -1).join('_')
    : (scopes.at(-2) ?? '').replaceAll(/@\d+/g, '');
  const read = [...(call ?? '').replace(/^%\w+ :/, '').matchAll(/%(\w+)/g)].map(([, name = '']) => name);
  const values = new Set(read.filter((name) => !/^[pb]_/.test(name)));
  return {
    known: call !== undefined,
    parameters: names('p'),
    buffers: names('b'),
    values,
    module: plain(path),
  };
}

/** A parameter's name as the newer exporter writes it into its traces. */
export function plain(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9]/g, '_');
}

/** Names that the exporters make up, unlike those of parameters. */
export function isMadeUp(name: string): boolean {
  return /^(val_\d+|onnx::\w+|_?constant\w*|.*\/Constant\w*)$/i.test(name);
}

/** Made by the exporter, or the result of a call that it computed beforehand (`t`, `permute_1`). */
export function isCopy({ name }: { name: string }, readers: readonly NodeProto[]): boolean {
  return isMadeUp(name) || readers.some((node) => traceOf(node).values.has(name));
}

export function consumersOf(graph: GraphProto): Map<string, NodeProto[]> {
  const consumers = new Map<string, NodeProto[]>();
  for (const node of graph.node)
    for (const name of new Set(node.input)) {
      const known = consumers.get(name);
      if (known) known.push(node);
      else consumers.set(name, [node]);
    }
  return consumers;
}
