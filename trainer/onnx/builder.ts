import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  ValueInfoProtoSchema,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './onnx.gen.js';
import { floatTensor, intTensor, type Shape } from './tensor.js';

/** An attribute as one writes it: an integer, a list of integers, text, or a float, tensor or graph that says so. */
export type Attribute =
  number | readonly number[] | string | { float: number } | { tensor: TensorProto } | { graph: GraphProto };

/** Hands out names that never clash: `hint`, or `hint` with a number. One for a graph and all its subgraphs. */
export class Names {
  readonly #taken: Set<string>;
  readonly #next = new Map<string, number>();

  constructor(taken: Iterable<string> = []) {
    this.#taken = new Set(taken);
  }

  fresh(hint: string): string {
    let number = this.#next.get(hint) ?? 0;
    let name = number === 0 ? hint : `${hint}_${number}`;
    while (this.#taken.has(name)) name = `${hint}_${++number}`;
    this.#next.set(hint, number + 1);
    this.#taken.add(name);
    return name;
  }
}

/** Collects the nodes and constants of a graph. */
export class GraphBuilder {
  readonly names: Names;
  readonly nodes: NodeProto[] = [];
  readonly constants: TensorProto[] = [];
  readonly #constantNames = new Map<string, string>();

  constructor(names: Names = new Names()) {
    this.names = names;
  }

  /** Appends a node with one output and returns the name of that output. */
  node(
    operator: string,
    inputs: readonly string[],
    attributes: Record<string, Attribute> = {},
    output?: string,
  ): string {
    const name = output ?? this.names.fresh(`${operator}_out`);
    this.add(operator, inputs, [name], attributes);
    return name;
  }

  /** Appends a node with any number of outputs, whose names the caller made. */
  add(
    operator: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Record<string, Attribute> = {},
  ): NodeProto {
    const node = create(NodeProtoSchema, {
      opType: operator,
      name: this.names.fresh(`${operator}_${outputs[0] ?? ''}`),
      input: [...inputs],
      output: [...outputs],
      attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
    });
    this.nodes.push(node);
    return node;
  }

  /** A float32 constant; equal small constants are shared. */
  floats(shape: Shape, values: readonly number[] | Float32Array): string {
    const data = Float32Array.from(values);
    return this.#constant(`f[${shape}]${data.length <= 256 ? data : this.constants.length}`, (name) =>
      floatTensor(name, shape, data),
    );
  }

  /** An int64 constant; equal ones are shared. */
  ints(shape: Shape, values: readonly number[]): string {
    return this.#constant(`i[${shape}]${values}`, (name) => intTensor(name, shape, values));
  }

  #constant(key: string, make: (name: string) => TensorProto): string {
    const known = this.#constantNames.get(key);
    if (known !== undefined) return known;
    const name = this.names.fresh('constant');
    this.constants.push(make(name));
    this.#constantNames.set(key, name);
    return name;
  }

  /** Nodes and constants that no output depends on are left out: onnxruntime would compute them. */
  graph(name: string, inputs: ValueInfoProto[], outputs: ValueInfoProto[]): GraphProto {
    const used = new Set(outputs.map((output) => output.name));
    const live = this.nodes.toReversed().filter((node) => {
      if (!node.output.some((output) => used.has(output))) return false;
      for (const value of valuesRead(node)) used.add(value);
      return true;
    });
    return create(GraphProtoSchema, {
      name,
      node: live.toReversed(),
      initializer: this.constants.filter((constant) => used.has(constant.name)),
      input: inputs,
      output: outputs,
    });
  }
}

/** Inputs of a node, and what its subgraphs read from outside. */
function valuesRead(node: NodeProto): string[] {
  const inner = node.attribute.flatMap(({ g }) => (g ? g.node.flatMap(valuesRead) : []));
  return [...node.input, ...inner];
}

/** A node like another. (A spread would lose what a message keeps in its prototype.) */
export function nodeLike(
  node: NodeProto,
  changes: Partial<Pick<NodeProto, 'opType' | 'name' | 'input' | 'output' | 'attribute'>> = {},
): NodeProto {
  const { opType, name, domain, input, output, attribute, metadataProps } = node;
  return create(NodeProtoSchema, {
    opType,
    name,
    domain,
    input,
    output,
    attribute,
    metadataProps,
    ...changes,
  });
}

export function attribute(name: string, value: Attribute): AttributeProto {
  if (typeof value === 'number')
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === 'string')
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  if ('float' in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  if ('tensor' in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: value.tensor });
  if ('graph' in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: value.graph });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}

/** Declares a graph's input or output; a dimension given as text is symbolic. */
export function valueInfo(
  name: string,
  dims: readonly (number | string)[],
  elemType: DataType = DataType.FLOAT,
): ValueInfoProto {
  const dim = dims.map((size) =>
    typeof size === 'string'
      ? { value: { case: 'dimParam' as const, value: size } }
      : { value: { case: 'dimValue' as const, value: BigInt(size) } },
  );
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType, shape: { dim } } } },
  });
}

/** IR version 10 is the newest that every runtime of opset 13 to 23 still in use reads. */
export function encodeModel(graph: GraphProto, opset: number): Uint8Array<ArrayBuffer> {
  const others = [...domainsOf(graph)].filter((domain) => domain !== '');
  const model = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [
      { domain: '', version: BigInt(opset) },
      ...others.map((domain) => ({ domain, version: 1n })),
    ],
    graph,
  });
  return toBinary(ModelProtoSchema, model);
}

function domainsOf(graph: GraphProto): Set<string> {
  const inner = graph.node.flatMap(({ attribute }) =>
    attribute.flatMap(({ g }) => (g ? [...domainsOf(g)] : [])),
  );
  return new Set([...graph.node.map(({ domain }) => domain), ...inner]);
}
