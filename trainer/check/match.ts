/** Finds PyTorch's parameters again in an export that may have renamed, transposed, reshaped, cut or packed them. */
import type { ModelProto } from '../onnx/onnx.gen.js';
import { openGraph } from '../graph.js';
import { undoExport } from '../exporters.js';
import { plain, traceOf } from '../exporters/traces.js';
import type { WeightTensor } from '../model.js';
import { elementCount } from '../onnx/tensor.js';
import type { Numbers } from './tensors.js';

/**
 * Where the elements of a parameter stand in weights of the graph, mostly one; -1 where another weight has them, or the
 * export left them out (unused rows).
 */
export interface Match {
  readonly parameter: string;
  readonly parts: readonly { readonly weight: string; readonly places: Int32Array }[];
}

/**
 * One match for each parameter that has one. Matches are by value, bit for bit; where several weights have the same
 * values (biases of zeros, layers that were copied) names, the traces of the exporter and the order of layers decide.
 */
export function matchParameters(
  model: ModelProto,
  weights: readonly WeightTensor[],
  parameters: ReadonlyMap<string, Numbers>,
): Map<string, Match> {
  const { hints, cells, order } = readHints(model);
  const orderOf = ({ name }: WeightTensor) => order.get(name) ?? 0;
  const views = weights
    .toSorted((a, b) => orderOf(a) - orderOf(b))
    .flatMap((weight) => viewsOf(weight, cells.get(weight.name)));
  const named = [...parameters].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  const matches = new Map<string, Match>();
  const taken = new Set<View>();
  const take = (view: View) => {
    for (const other of views) if (other.weight === view.weight && overlaps(other, view)) taken.add(other);
  };
  const likely = (parameter: string, view: View) =>
    scoreOf(parameter, view.weight.name, hints) +
    (view.marks ?? []).filter((mark) => mark.test(parameter)).length / 8;
  const assign = (placesOf: (numbers: Numbers, view: View) => Int32Array | undefined) => {
    const pairs = named.flatMap(([parameter, numbers]) =>
      (matches.has(parameter) ? [] : views).flatMap((view) => {
        const places = taken.has(view) ? undefined : placesOf(numbers, view);
        if (places) return [{ parameter, view, places, score: likely(parameter, view) }];
        return [];
      }),
    );
    for (const { parameter, view, places } of pairs.sort((a, b) => b.score - a.score)) {
      if (matches.has(parameter) || taken.has(view)) continue;
      matches.set(parameter, { parameter, parts: [{ weight: view.weight.name, places }] });
      take(view);
    }
  };
  assign(placesIn);
  assign((numbers, view) => (view.whole ? turnedPlaces(numbers, view) : undefined));
  for (const [parameter, numbers] of named) {
    if (matches.has(parameter)) continue;
    const free = views
      .filter((view) => !taken.has(view))
      .toSorted((a, b) => likely(parameter, b) - likely(parameter, a));
    const blocks = blocksOf(numbers, free);
    if (!blocks) continue;
    const parts = blocks.map(({ view, places }) => ({ weight: view.weight.name, places }));
    matches.set(parameter, { parameter, parts });
    for (const { view } of blocks) take(view);
  }
  assign(headPlaces);
  return matches;
}

/** A tensor as PyTorch would hold it, and where its elements stand in the weight. */
interface View {
  readonly weight: WeightTensor;
  readonly shape: readonly number[];
  readonly places: Int32Array;
  /** All of the weight, in its order. */
  readonly whole?: true;
  /** What PyTorch's name of it would have. */
  readonly marks?: readonly RegExp[];
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
    const direction = Math.floor(part / parts) === 1 ? /_reverse$/ : /_l\d+$/;
    const source = input === 2 || (input === 3 && part % 2 === 1) ? /_hh_/ : /_ih_/;
    return { weight, shape, places: Int32Array.from(places), marks: [direction, source] };
  });
}

function placesIn({ shape, values }: Numbers, view: View): Int32Array | undefined {
  return bare(shape) === bare(view.shape) && holds(view, values, 0) ? view.places : undefined;
}

/** Whether a view has the values of a parameter from `start` on. */
function holds({ weight, places }: View, values: Float64Array, start: number): boolean {
  return places.every((place, i) => weight.data[place] === values[start + i]);
}

/** Rows and the size of each, without dimensions of 1. */
function rowsOf(shape: readonly number[]): { rows: number; inner: string } {
  const [rows = 1, ...inner] = shape.filter((dim) => dim !== 1);
  return { rows, inner: inner.join() };
}

/** A table of positions of which the export reads only the first. */
function headPlaces({ shape, values }: Numbers, view: View): Int32Array | undefined {
  const [whole, head] = [rowsOf(shape), rowsOf(view.shape)];
  const isHead =
    shape.length > 1 && whole.inner !== '' && whole.inner === head.inner && head.rows < whole.rows;
  if (!isHead || !holds(view, values, 0)) return undefined;
  const places = new Int32Array(elementCount(shape)).fill(-1);
  places.set(view.places);
  return places;
}

/** Weights that together are a parameter, row by row: packed projections (in_proj_weight) that the exporter cut. */
function blocksOf(
  { shape, values }: Numbers,
  views: readonly View[],
): { view: View; places: Int32Array }[] | undefined {
  const whole = rowsOf(shape);
  const blocks: { view: View; places: Int32Array }[] = [];
  const used = new Set<WeightTensor>();
  for (let start = 0; start < values.length;) {
    const view = views.find(
      (candidate) =>
        !used.has(candidate.weight) &&
        rowsOf(candidate.shape).inner === whole.inner &&
        candidate.places.length <= values.length - start &&
        holds(candidate, values, start),
    );
    if (!view) return undefined;
    const places = new Int32Array(values.length).fill(-1);
    places.set(view.places, start);
    blocks.push({ view, places });
    used.add(view.weight);
    start += view.places.length;
  }
  return blocks.length > 1 ? blocks : undefined;
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
function readHints(model: ModelProto): {
  hints: Map<string, Set<string>>;
  cells: Map<string, Cell>;
  /** Where in the graph a weight is first used. */
  order: Map<string, number>;
} {
  const { graph } = openGraph(model);
  undoExport(graph);
  const hints = new Map<string, Set<string>>();
  const cells = new Map<string, Cell>();
  const order = new Map<string, number>();
  graph.node.forEach((node, position) => {
    const { parameters, module } = traceOf(node);
    node.input.forEach((name, index) => {
      if (!order.has(name)) order.set(name, position);
      const known = hints.get(name) ?? new Set();
      for (const hint of [...parameters, ...(module ? [module] : [])]) known.add(hint);
      hints.set(name, known);
      const isCell = Object.hasOwn(gateOrders, node.opType);
      if (isCell && (index === 1 || index === 2 || index === 3))
        cells.set(name, { operator: node.opType as Cell['operator'], input: index });
    });
  });
  return { hints, cells, order };
}
