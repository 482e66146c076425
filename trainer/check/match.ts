/** Finds PyTorch's parameters again in an export that may have renamed, transposed, reshaped, cut or packed them. */
import type { ModelProto } from '../onnx/onnx.gen.js';
import { openGraph } from '../graph.js';
import { undoExport } from '../exporters.js';
import { plain, traceOf } from '../exporters/traces.js';
import type { WeightTensor } from '../model.js';
import { elementCount } from '../onnx/tensor.js';
import type { Numbers } from './tensors.js';

/** Where the elements of a parameter stand in a weight of the graph; -1 where the export left them out (unused rows). */
export interface Match {
  readonly parameter: string;
  readonly weight: string;
  readonly places: Int32Array;
}

/**
 * One match for each parameter that has one. Matches are by value, bit for bit; where several weights have the same
 * values (biases of zeros, layers that were copied) names and the traces of the exporter decide.
 */
export function matchParameters(
  model: ModelProto,
  weights: readonly WeightTensor[],
  parameters: ReadonlyMap<string, Numbers>,
): Map<string, Match> {
  const { hints, cells } = readHints(model);
  const views = weights.flatMap((weight) => viewsOf(weight, cells.get(weight.name)));
  const pairs = [...parameters].flatMap(([parameter, numbers]) =>
    views.flatMap((view) => {
      const likely = scoreOf(parameter, view.weight.name, hints);
      const places = placesIn(numbers, view);
      if (places) return [{ parameter, view, places, score: likely }];
      const turned = view.whole ? turnedPlaces(numbers, view) : undefined;
      return turned ? [{ parameter, view, places: turned, score: likely - 0.5 }] : [];
    }),
  );
  const matches = new Map<string, Match>();
  const taken = new Set<View>();
  for (const { parameter, view, places } of pairs.sort((a, b) => b.score - a.score)) {
    if (matches.has(parameter) || taken.has(view)) continue;
    matches.set(parameter, { parameter, weight: view.weight.name, places });
    for (const other of views) if (other.weight === view.weight && overlaps(other, view)) taken.add(other);
  }
  return matches;
}

/** A tensor as PyTorch would hold it, and where its elements stand in the weight. */
interface View {
  readonly weight: WeightTensor;
  readonly shape: readonly number[];
  readonly places: Int32Array;
  /** All of the weight, in its order. */
  readonly whole?: true;
}

interface Cell {
  readonly operator: keyof typeof gateOrders;
  readonly input: 1 | 2 | 3;
}

function viewsOf(weight: WeightTensor, cell: Cell | undefined): View[] {
  const all = Int32Array.from(weight.data, (_, index) => index);
  const shape = weight.dims;
  const views: View[] = [{ weight, shape, places: all, whole: true }];
  const [rows = 1, columns = 1] = shape;
  if (shape.length === 2 && rows > 1 && columns > 1)
    views.push({
      weight,
      shape: [columns, rows],
      places: all.map((index) => (index % rows) * columns + Math.floor(index / rows)),
    });
  return cell ? [...views, ...unpacked(weight, cell)] : views;
}

/** PyTorch's gates in the order in which ONNX has them. */
const gateOrders = { LSTM: [0, 2, 3, 1], GRU: [1, 0, 2], RNN: [0] } as const;

/** ONNX packs the directions of a recurrent layer and orders gates otherwise: i o f c and z r h for i f g o and r z n. */
function unpacked(weight: WeightTensor, { operator, input }: Cell): View[] {
  const order = gateOrders[operator];
  const [directions = 1, rows = 1, columns = 1] = weight.dims;
  const width = input === 3 ? 1 : columns;
  const parts = input === 3 ? 2 : 1;
  const hidden = rows / parts / order.length;
  return Array.from({ length: directions * parts }, (_, part) => {
    const start = part * (rows / parts) * width;
    const places = order.flatMap((gate) =>
      Array.from({ length: hidden * width }, (_, i) => start + gate * hidden * width + i),
    );
    const shape = input === 3 ? [rows / parts] : [rows, width];
    return { weight, shape, places: Int32Array.from(places) };
  });
}

function placesIn({ shape, values }: Numbers, view: View): Int32Array | undefined {
  const { data } = view.weight;
  const equal = (count: number) =>
    view.places.subarray(0, count).every((place, i) => data[place] === values[i]);
  if (bare(shape) === bare(view.shape)) return equal(values.length) ? view.places : undefined;
  // An embedding of positions of which the export reads only the first.
  const rows = view.shape[0] ?? 0;
  const isHead =
    shape.length === 2 && bare(shape.slice(1)) === bare(view.shape.slice(1)) && rows < (shape[0] ?? 0);
  if (!isHead || !equal(view.places.length)) return undefined;
  const places = new Int32Array(elementCount(shape)).fill(-1);
  places.set(view.places);
  return places;
}

/** A parameter whose axes were exchanged and joined (nn.Bilinear becomes one matrix product). */
function turnedPlaces({ shape, values }: Numbers, { weight: { data } }: View): Int32Array | undefined {
  if (values.length !== data.length || shape.length < 2 || shape.length > 4) return undefined;
  for (const order of permutations([...shape.keys()])) {
    const strides = order.map((axis) => elementCount(shape.slice(axis + 1)));
    const sizes = order.map((axis) => shape[axis] ?? 1);
    const from = (place: number) => {
      let [rest, sum] = [place, 0];
      for (let at = order.length - 1; at >= 0; at--) {
        const size = sizes[at] ?? 1;
        sum += (rest % size) * (strides[at] ?? 0);
        rest = Math.floor(rest / size);
      }
      return sum;
    };
    if (!data.every((value, place) => value === values[from(place)])) continue;
    const places = new Int32Array(values.length);
    data.forEach((_, place) => (places[from(place)] = place));
    return places;
  }
  return undefined;
}

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}

/** Without the dimensions of 1 that exporters add and remove. */
function bare(dims: readonly number[]): string {
  return dims.filter((dim) => dim !== 1).join();
}

function overlaps(a: View, b: View): boolean {
  const places = new Set(b.places);
  return a.places.some((place) => places.has(place));
}

function scoreOf(parameter: string, weight: string, hints: ReadonlyMap<string, ReadonlySet<string>>): number {
  if (parameter === weight) return 1000;
  if (plain(parameter) === plain(weight) || weight.endsWith(`/${plain(parameter)}`)) return 900;
  const all = [...(hints.get(weight) ?? [])];
  if (all.includes(plain(parameter))) return 800;
  return Math.max(0, ...all.map((hint) => (plain(parameter).startsWith(`${hint}_`) ? hint.length : 0)));
}

/** Parameters and modules that the exporter names where a weight is used, and the recurrent cells that use it. */
function readHints(model: ModelProto): { hints: Map<string, Set<string>>; cells: Map<string, Cell> } {
  const { graph } = openGraph(model);
  undoExport(graph);
  const hints = new Map<string, Set<string>>();
  const cells = new Map<string, Cell>();
  for (const node of graph.node) {
    const { parameters, module } = traceOf(node);
    node.input.forEach((name, index) => {
      const known = hints.get(name) ?? new Set();
      for (const hint of [...parameters, ...(module ? [module] : [])]) known.add(hint);
      hints.set(name, known);
      const isCell = Object.hasOwn(gateOrders, node.opType);
      if (isCell && (index === 1 || index === 2 || index === 3))
        cells.set(name, { operator: node.opType as Cell['operator'], input: index });
    });
  }
  return { hints, cells };
}
