import { GraphBuilder, valueInfo, type Names } from '../../onnx/builder.js';
import type { Shape } from '../../onnx/tensor.js';
import { NodeGradient } from '../nodeGradient.js';

export type Step = (
  b: NodeGradient,
  states: string[],
  inputs: string[],
) => { states: string[]; outputs: string[] };

/** A loop over the first axis of `inputs`, from the last step to the first if `reverse`. States have the shape `state`. */
export function scan(
  g: NodeGradient,
  initial: readonly string[],
  inputs: readonly string[],
  state: Shape,
  reverse: boolean,
  step: Step,
  outputShapes: readonly Shape[] = [state],
): { states: string[]; outputs: string[] } {
  const names: Names = g.builder.names;
  const body = new GraphBuilder(names);
  const inner = new NodeGradient(body, g.node, [], g.shapes.known, new Set(), g.shapes.opset);
  const states = initial.map(() => names.fresh('state'));
  const values = inputs.map(() => names.fresh('value'));
  const result = step(inner, states, values);
  const rename = (name: string) => body.node('Identity', [name]);
  const after = result.states.map(rename);
  const outputs = result.outputs.map(rename);
  const graph = body.graph(
    'step',
    [
      ...states.map((name) => valueInfo(name, state)),
      ...values.map((name) => valueInfo(name, [state[0] ?? 0, '?'])),
    ],
    [
      ...after.map((name) => valueInfo(name, state)),
      ...outputs.map((name, at) => valueInfo(name, outputShapes[at] ?? state)),
    ],
  );
  const all = [...after, ...outputs].map(() => names.fresh('Scan_out'));
  const backwards = Number(reverse);
  g.builder.add('Scan', [...initial, ...inputs], all, {
    body: { graph },
    num_scan_inputs: inputs.length,
    scan_input_directions: inputs.map(() => backwards),
    scan_output_directions: outputs.map(() => backwards),
  });
  return { states: all.slice(0, after.length), outputs: all.slice(after.length) };
}
