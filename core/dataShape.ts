import { z } from 'zod';

const extents = z.array(z.number().int().min(1)).max(8);
const sample = extents.min(1);

/** What the samples of a data set look like, as a job asks for them and a runner's data has them. */
export const dataShape = {
  input: z
    .union([sample, z.record(z.string().min(1).max(200), sample)])
    .describe('Shape of one sample, without the batch; of a model with several inputs by their names.'),
  labels: extents
    .nullable()
    .exactOptional()
    .describe(
      'Shape of the labels of one sample; by default one class. Null: the data has none (next_token).',
    ),
  classes: z
    .union([z.literal(0), z.number().int().min(2).max(1_000_000)])
    .describe('Number of classes of the labels, or of tokens; 0 for labels that are numbers.'),
};
type Shape = z.output<z.ZodObject<typeof dataShape>>;

/** Whether samples and labels have the same shapes. */
export function sameShapes(a: Omit<Shape, 'classes'>, b: Omit<Shape, 'classes'>): boolean {
  return describeShapes(a) === describeShapes(b);
}

/** `[1, 28, 28]`, or `ids [64], mask [64]`; then the labels' where there is not just a class. */
export function describeShapes({ input, labels }: Omit<Shape, 'classes'>): string {
  const inputs = Array.isArray(input)
    ? list(input)
    : Object.entries(input)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, dims]) => `${name} ${list(dims)}`)
        .join(', ');
  if (labels === null) return `${inputs} without labels`;
  return labels === undefined || labels.length === 0 ? inputs : `${inputs} with labels of ${list(labels)}`;
}

function list(dims: readonly number[]): string {
  return `[${dims.join(', ')}]`;
}
