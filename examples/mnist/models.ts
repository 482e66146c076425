/**
 * The two networks of McMahan et al. 2017, sized for 28 x 28 digits, as ONNX files with PyTorch's names and its
 * default initialisation (uniform within 1 / sqrt(fan-in), which is Kaiming's with a = sqrt(5)), from a seed.
 */
import { encodeModel, GraphBuilder, valueInfo } from '#trainer/onnx/builder.js';
import { floatTensor } from '#trainer/onnx/tensor.js';

/** conv 8x5x5, pool 2, conv 16x5x5, pool 2, linear: 5,994 parameters; input [batch, 1, 28, 28]. */
export function cnn(seed = 1): Uint8Array {
  const net = new Network(seed);
  let x = net.convolution('conv1', 'image', 1, 8, 5);
  x = net.pool(net.relu(x));
  x = net.convolution('conv2', x, 8, 16, 5);
  x = net.pool(net.relu(x));
  net.linear('fc', net.flatten(x), 256, 10, 'logits');
  return net.encode('image', [1, 28, 28], 10);
}

/** Two hidden layers of 200: 199,210 parameters; input [batch, 784]. */
export function twoLayers(seed = 1): Uint8Array {
  const net = new Network(seed);
  const first = net.relu(net.linear('fc1', 'image', 784, 200));
  const second = net.relu(net.linear('fc2', first, 200, 200));
  net.linear('fc3', second, 200, 10, 'logits');
  return net.encode('image', [784], 10);
}

/** Layers of the given widths with ReLU between them, for tables: input [batch, widths[0]], as many logits as the last. */
export function mlp(widths: readonly number[], seed = 1): Uint8Array {
  const net = new Network(seed);
  const [inputs = 1, ...layers] = widths;
  let x = 'sample';
  let size = inputs;
  layers.forEach((width, i) => {
    const last = i === layers.length - 1;
    const sum = net.linear(`fc${i + 1}`, x, size, width, last ? 'logits' : undefined);
    x = last ? sum : net.relu(sum);
    size = width;
  });
  return net.encode('sample', [inputs], size);
}

/** The CNN of McMahan et al. 2017: conv 32x5x5, pool, conv 64x5x5, pool, 512, 10; 1,663,370 parameters. */
export function largeCnn(seed = 1): Uint8Array {
  const net = new Network(seed);
  let x = net.convolution('conv1', 'image', 1, 32, 5, 2);
  x = net.pool(net.relu(x));
  x = net.convolution('conv2', x, 32, 64, 5, 2);
  x = net.pool(net.relu(x));
  x = net.relu(net.linear('fc1', net.flatten(x), 7 * 7 * 64, 512));
  net.linear('fc2', x, 512, 10, 'logits');
  return net.encode('image', [1, 28, 28], 10);
}

class Network {
  readonly #builder = new GraphBuilder();
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = uniform(seed);
  }

  convolution(name: string, x: string, channels: number, filters: number, size: number, padding = 0): string {
    const fanIn = channels * size * size;
    const weight = this.#parameter(`${name}.weight`, [filters, channels, size, size], fanIn);
    const bias = this.#parameter(`${name}.bias`, [filters], fanIn);
    return this.#builder.node('Conv', [x, weight, bias], {
      kernel_shape: [size, size],
      ...(padding > 0 ? { pads: [padding, padding, padding, padding] } : {}),
    });
  }

  linear(name: string, x: string, inputs: number, outputs: number, output?: string): string {
    const weight = this.#parameter(`${name}.weight`, [outputs, inputs], inputs);
    const bias = this.#parameter(`${name}.bias`, [outputs], inputs);
    return this.#builder.node('Gemm', [x, weight, bias], { transB: 1 }, output);
  }

  relu(x: string): string {
    return this.#builder.node('Relu', [x]);
  }

  pool(x: string): string {
    return this.#builder.node('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] });
  }

  flatten(x: string): string {
    return this.#builder.node('Flatten', [x]);
  }

  encode(input: string, sample: readonly number[], classes: number): Uint8Array {
    const inputs = [valueInfo(input, ['batch', ...sample])];
    return encodeModel(
      this.#builder.graph('main_graph', inputs, [valueInfo('logits', ['batch', classes])]),
      18,
    );
  }

  #parameter(name: string, shape: readonly number[], fanIn: number): string {
    const bound = 1 / Math.sqrt(fanIn);
    const count = shape.reduce((product, dim) => product * dim, 1);
    const values = Float32Array.from({ length: count }, () => (2 * this.#random() - 1) * bound);
    this.#builder.constants.push(floatTensor(name, shape, values));
    return name;
  }
}

/** SplitMix32: uniform in [0, 1), the same on every machine. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
