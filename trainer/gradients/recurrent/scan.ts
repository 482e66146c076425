import { GraphBuilder, valueInfo, type Names } from '../../onnx/builder.js';
import type { Shape } from '../../onnx/tensor.js';
import { NodeGradient } from '../nodeGradient.js';

export interface Loop {
  /** Values of the states before the first step, all of the shape `state`. */
  readonly initial: readonly string[];
  readonly state: Shape;
  /** Read step by step along their first axis; `inputShapes` are those of a step, as `state` unless told. */
  readonly inputs: readonly string[];
  readonly inputShapes?: readonly Shape[];
  /** Of what each step gives. */
  readonly outputShapes?: readonly Shape[];
  /** From the last step to the first; results are stored in the order of the inputs all the same. */
  readonly reverse: boolean;
}

export type Step = (
  b: NodeGradient,
  states: string[],
  inputs: string[],
) => { states: string[]; outputs: string[] };

/** A loop over the first axis of `inputs`. */
export function scan(
  g: NodeGradient,
  { initial, state, inputs, reverse, inputShapes = [], outputShapes = [] }: Loop,
  step: Step,
): { states: string[]; outputs: string[] } {
  const names: Names = g.builder.names;
  const body = new GraphBuilder(names);
  const inner = new NodeGradient(body, g.node, [], g.shapes.known, new Set(), g.shapes.opset);
  const states = initial.map(() => names.fresh('state'));
  const values = inputs.map(() => names.fresh('value'));
  const result = step(inner, states, values);
  // Each result has a name of its own; only what is given twice, or is given back as it came, is copied.
  const given = new Set([...states, ...values]);
  const own = (name: string) => {
    if (given.has(name)) return body.node('Identity', [name]);
    given.add(name);
    return name;
  };
  const after = result.states.map(own);
  const outputs = result.outputs.map(own);
  const graph = body.graph(
    'step',
    [
      ...states.map((name) => valueInfo(name, state)),
      ...values.map((name, at) => valueInfo(name, inputShapes[at] ?? state)),
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
