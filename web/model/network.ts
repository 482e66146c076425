/** Runs a small network in the page. It computes what onnxruntime computes, slower; test/web/model.test.ts compares them. */
import { bytesOf } from '#core/bytes.js';
import { floatTensors } from '#core/layout.js';
import { encodeSafetensors } from '#core/safetensors.js';
import { decodeVersion } from '#core/versionFile.js';
import type { ModelFiles } from '../verify/model.js';
import { readGraph, writeOnnx, type Tensor } from './onnx.js';
import { operators } from './operators.js';

export interface Network {
  /** @param sample values of one sample, in the shape that the graph declares. @returns the output of it */
  run(sample: Float32Array): Float32Array;
}

/** @throws Error that names the operator which the page does not know */
export function openNetwork(files: ModelFiles): Network {
  const { nodes, constants, inputs, output } = readGraph(files.graph);
  const weights = weightsOf(files);
  const names = new Set(weights.map(({ name }) => name));
  const [data, another] = inputs.filter(({ name }) => !names.has(name));
  if (!data || another) throw new Error('The page runs networks with one input.');
  const unknown = nodes.find(({ op }) => !operators[op]);
  if (unknown) throw new Error(`The page does not know the operator ${unknown.op}.`);
  const fixed = new Map<string, Tensor>(constants);
  for (const { name, dims, data: values } of weights) fixed.set(name, { dims: [...dims], data: values });
  return {
    run(sample) {
      const dims = [1, ...data.dims.slice(1)];
      const wanted = dims.reduce((all, dim) => all * dim, 1);
      if (wanted !== sample.length)
        throw new Error(
          `The network takes ${wanted} values (${dims.slice(1).join(' × ')}), not ${sample.length}.`,
        );
      const known = new Map(fixed).set(data.name, { dims, data: sample });
      for (const node of nodes) {
        const given = node.inputs.map((name) => known.get(name));
        const made = operators[node.op]?.(given, node);
        if (made) known.set(node.outputs[0] ?? '', made);
      }
      const found = known.get(output);
      if (!found) throw new Error('The network did not come to its output.');
      return found.data;
    },
  };
}

/** An ordinary ONNX file with float weights. */
export function asOnnx(files: ModelFiles): Uint8Array<ArrayBuffer> {
  return writeOnnx(files.graph, weightsOf(files));
}

/** The float weights alone. */
export function asSafetensors(files: ModelFiles): Uint8Array<ArrayBuffer> {
  const tensors = weightsOf(files).map(({ name, dims, data }) => ({
    name,
    dtype: 'F32' as const,
    shape: [...dims],
    data: bytesOf(data),
  }));
  return encodeSafetensors(tensors) as Uint8Array<ArrayBuffer>;
}

function weightsOf({ parameters }: ModelFiles) {
  const { layout, params } = decodeVersion(parameters);
  return floatTensors(layout, params);
}
