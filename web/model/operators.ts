/** The operators of small networks, by their definition in ONNX (https://onnx.ai/onnx/operators). */
import type { Node, Tensor } from './onnx.js';

type Operator = (inputs: readonly (Tensor | undefined)[], node: Node) => Tensor;

export const operators: Readonly<Record<string, Operator | undefined>> = {
  Identity: ([x]) => there(x),
  Dropout: ([x]) => there(x),
  Constant: (_, { tensors }) => there(tensors.get('value')),
  Relu: each((value) => Math.max(0, value)),
  Sigmoid: each((value) => 1 / (1 + Math.exp(-value))),
  Tanh: each(Math.tanh),
  LeakyRelu: ([x], { floats }) => {
    const slope = floats.get('alpha') ?? 0.01;
    return mapped(there(x), (value) => (value < 0 ? slope * value : value));
  },
  Add: pairwise((a, b) => a + b),
  Sub: pairwise((a, b) => a - b),
  Mul: pairwise((a, b) => a * b),
  Div: pairwise((a, b) => a / b),
  Flatten: ([x], { integers }) => {
    const { dims, data } = there(x);
    const axis = integers.get('axis')?.[0] ?? 1;
    const rows = product(dims.slice(0, axis));
    return { dims: [rows, data.length / rows], data };
  },
  Reshape: ([x, shape]) => {
    const { dims, data } = there(x);
    const wanted = [...there(shape).data].map((size, i) => (size === 0 ? (dims[i] ?? 1) : size));
    const rest = data.length / product(wanted.filter((size) => size > 0));
    return { dims: wanted.map((size) => (size < 0 ? rest : size)), data };
  },
  Gemm: ([a, b, c], { floats, integers }) => {
    const made = multiply(
      turned(there(a), integers.get('transA')?.[0] === 1),
      turned(there(b), integers.get('transB')?.[0] === 1),
      floats.get('alpha') ?? 1,
    );
    const beta = floats.get('beta') ?? 1;
    return c ? broadcast(made, c, (sum, bias) => sum + beta * bias) : made;
  },
  MatMul: ([a, b]) => multiply(there(a), there(b), 1),
  Conv: ([x, weight, bias], node) => convolve(there(x), there(weight), bias, node),
  MaxPool: ([x], node) =>
    pool(there(x), node, (values) => values.reduce((a, b) => Math.max(a, b), -Infinity)),
  AveragePool: ([x], node) =>
    pool(there(x), node, (values, size) => {
      const over = node.integers.get('count_include_pad')?.[0] === 1 ? size : values.length;
      return values.reduce((a, b) => a + b, 0) / over;
    }),
  GlobalAveragePool: ([x]) => {
    const { dims, data } = there(x);
    const [batch = 1, channels = 1, ...window] = dims;
    const size = product(window);
    const means = Float32Array.from({ length: batch * channels }, (_, i) => {
      return data.subarray(i * size, (i + 1) * size).reduce((a, b) => a + b, 0) / size;
    });
    return { dims: [batch, channels, ...window.map(() => 1)], data: means };
  },
  BatchNormalization: ([x, scale, shift, mean, variance], { floats }) => {
    const { dims, data } = there(x);
    const epsilon = floats.get('epsilon') ?? 1e-5;
    const channels = dims[1] ?? 1;
    const size = product(dims.slice(2));
    const of = (tensor: Tensor | undefined, channel: number) => there(tensor).data[channel] ?? 0;
    return {
      dims,
      data: data.map((value, i) => {
        const channel = Math.floor(i / size) % channels;
        const deviation = Math.sqrt(of(variance, channel) + epsilon);
        return ((value - of(mean, channel)) / deviation) * of(scale, channel) + of(shift, channel);
      }),
    };
  },
  Softmax: ([x]) => ({ dims: there(x).dims, data: softmax(there(x).data) }),
  LogSoftmax: ([x]) => ({ dims: there(x).dims, data: softmax(there(x).data).map(Math.log) }),
};

/** Shares that sum to 1, of one sample. */
export function softmax(values: Float32Array): Float32Array {
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function there(tensor: Tensor | undefined): Tensor {
  if (!tensor) throw new Error('A node of the network has an input that nothing makes.');
  return tensor;
}

const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);

function mapped({ dims, data }: Tensor, value: (x: number) => number): Tensor {
  return { dims, data: data.map(value) };
}
function each(value: (x: number) => number): Operator {
  return ([x]) => mapped(there(x), value);
}
function pairwise(value: (a: number, b: number) => number): Operator {
  return ([a, b]) => broadcast(there(a), there(b), value);
}

/** Dimensions are aligned at their ends; where one is 1 its values are repeated. */
function broadcast(a: Tensor, b: Tensor, value: (a: number, b: number) => number): Tensor {
  const rank = Math.max(a.dims.length, b.dims.length);
  const padded = ({ dims }: Tensor) => [...Array<number>(rank - dims.length).fill(1), ...dims];
  const [left, right] = [padded(a), padded(b)];
  const dims = left.map((size, i) => Math.max(size, right[i] ?? 1));
  const [leftSteps, rightSteps] = [steps(left), steps(right)];
  const data = new Float32Array(product(dims));
  for (let at = 0; at < data.length; at++) {
    let rest = at;
    let [i, j] = [0, 0];
    for (let axis = rank - 1; axis >= 0; axis--) {
      const size = dims[axis] ?? 1;
      const place = rest % size;
      rest = (rest - place) / size;
      i += place * (leftSteps[axis] ?? 0);
      j += place * (rightSteps[axis] ?? 0);
    }
    data[at] = value(a.data[i] ?? 0, b.data[j] ?? 0);
  }
  return { dims, data };
}

/** How far apart neighbours of each dimension lie; 0 where there is only one, which is repeated. */
function steps(dims: readonly number[]): number[] {
  let step = 1;
  return dims.reduceRight<number[]>((found, size) => {
    found.unshift(size === 1 ? 0 : step);
    step *= size;
    return found;
  }, []);
}

function turned(x: Tensor, isTurned: boolean): Tensor {
  if (!isTurned) return x;
  const [rows = 1, columns = 1] = x.dims;
  const data = new Float32Array(x.data.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) data[j * rows + i] = x.data[i * columns + j] ?? 0;
  return { dims: [columns, rows], data };
}

function multiply(a: Tensor, b: Tensor, factor: number): Tensor {
  const inner = a.dims.at(-1) ?? 1;
  const columns = b.dims.at(-1) ?? 1;
  if (b.dims.length !== 2) throw new Error('The page multiplies by matrices only.');
  const rows = a.data.length / inner;
  const data = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < inner; k++) {
      const value = factor * (a.data[i * inner + k] ?? 0);
      for (let j = 0; j < columns; j++)
        data[i * columns + j] = (data[i * columns + j] ?? 0) + value * (b.data[k * columns + j] ?? 0);
    }
  return { dims: [...a.dims.slice(0, -1), columns], data };
}

interface Window {
  kernel: [number, number];
  strides: [number, number];
  dilations: [number, number];
  pads: [number, number];
  /** Rows and columns of the output. */
  out: [number, number];
}

function windowOf({ integers, op }: Node, dims: readonly number[], kernel: readonly number[]): Window {
  if (dims.length !== 4 || (integers.get('ceil_mode')?.[0] ?? 0) !== 0)
    throw new Error(`The page runs ${op} on pictures only, and rounds down.`);
  const strides = pair(integers.get('strides') ?? [1, 1]);
  const dilations = pair(integers.get('dilations') ?? [1, 1]);
  const [top = 0, left = 0, low = 0, right = 0] = integers.get('pads') ?? [];
  const size = pair(kernel);
  const out = [top + low, left + right].map((pads, axis) => {
    const reach = (dilations[axis] ?? 1) * ((size[axis] ?? 1) - 1) + 1;
    return Math.floor(((dims[2 + axis] ?? 1) + pads - reach) / (strides[axis] ?? 1)) + 1;
  });
  return { kernel: size, strides, dilations, pads: [top, left], out: pair(out) };
}

const pair = (values: readonly number[]): [number, number] => [values[0] ?? 1, values[1] ?? 1];

function convolve(x: Tensor, weight: Tensor, bias: Tensor | undefined, node: Node): Tensor {
  const [filters = 1, depth = 1, ...kernel] = weight.dims;
  const [, channels = 1, height = 1, width = 1] = x.dims;
  const window = windowOf(node, x.dims, kernel);
  const [rows, columns] = window.out;
  const perGroup = filters / (node.integers.get('group')?.[0] ?? 1);
  const data = new Float32Array(filters * rows * columns);
  if (x.dims[0] !== 1 || channels % depth !== 0) throw new Error('The page runs one picture at a time.');
  for (let filter = 0; filter < filters; filter++) {
    const first = Math.floor(filter / perGroup) * depth;
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        let sum = bias?.data[filter] ?? 0;
        for (let channel = 0; channel < depth; channel++)
          forEachPlace(window, row, column, height, width, (y, z, at) => {
            const from = ((first + channel) * height + y) * width + z;
            const by = (filter * depth + channel) * window.kernel[0] * window.kernel[1] + at;
            sum += (x.data[from] ?? 0) * (weight.data[by] ?? 0);
          });
        data[(filter * rows + row) * columns + column] = sum;
      }
  }
  return { dims: [1, filters, rows, columns], data };
}

function pool(x: Tensor, node: Node, value: (values: number[], size: number) => number): Tensor {
  const [batch = 1, channels = 1, height = 1, width = 1] = x.dims;
  const window = windowOf(node, x.dims, node.integers.get('kernel_shape') ?? []);
  const [rows, columns] = window.out;
  const data = new Float32Array(batch * channels * rows * columns);
  for (let plane = 0; plane < batch * channels; plane++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const values: number[] = [];
        forEachPlace(window, row, column, height, width, (y, z) =>
          values.push(x.data[(plane * height + y) * width + z] ?? 0),
        );
        data[(plane * rows + row) * columns + column] = value(values, window.kernel[0] * window.kernel[1]);
      }
  return { dims: [batch, channels, rows, columns], data };
}

/** The places of the input under a window, without those in the padding; `at` is the place within the window. */
function forEachPlace(
  { kernel, strides, dilations, pads }: Window,
  row: number,
  column: number,
  height: number,
  width: number,
  visit: (y: number, x: number, at: number) => void,
): void {
  for (let i = 0; i < kernel[0]; i++) {
    const y = row * strides[0] - pads[0] + i * dilations[0];
    if (y < 0 || y >= height) continue;
    for (let j = 0; j < kernel[1]; j++) {
      const x = column * strides[1] - pads[1] + j * dilations[1];
      if (x >= 0 && x < width) visit(y, x, i * kernel[1] + j);
    }
  }
}
