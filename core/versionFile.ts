/** The file of a model version: the int32 vector as safetensors, one tensor per weight, its step in the metadata. */
import { bytesOf, int32View } from './bytes.js';
import { RoundtableError } from './errors.js';
import { layoutOf, valuesOf, type Layout } from './layout.js';
import { decodeSafetensors, encodeSafetensors } from './safetensors.js';

/**
 * @param params D values in the layout's order; also the file of an optimiser's state, which lies on the same grid
 * @param metadata more entries of the header; keys that begin with `step.` are taken
 */
export function encodeVersion(
  layout: Layout,
  params: Int32Array,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  if (params.length !== layout.dimension)
    throw new RoundtableError(
      'INVALID_INPUT',
      `${params.length} parameters were given for a layout of ${layout.dimension}.`,
    );
  if (Object.keys(metadata).some((key) => key.startsWith(STEP)))
    throw new RoundtableError('INVALID_INPUT', `Metadata of a version may not begin with ${STEP}`);
  const steps = layout.tensors.map(({ name, exponent }) => [STEP + name, String(exponent)]);
  return encodeSafetensors(
    layout.tensors.map((tensor) => ({
      name: tensor.name,
      dtype: 'I32',
      shape: tensor.shape,
      data: bytesOf(valuesOf(params, tensor)),
    })),
    { ...metadata, ...Object.fromEntries(steps) },
  );
}

/** `params` is a view of `bytes` where these are 4-aligned. @throws FORMAT_INVALID */
export function decodeVersion(bytes: Uint8Array): {
  layout: Layout;
  params: Int32Array;
  metadata: Record<string, string>;
} {
  const { tensors, metadata } = decodeSafetensors(bytes);
  const layout = readLayout(
    [...tensors].map(([name, { dtype, shape }]) => {
      const step = Object.hasOwn(metadata, STEP + name) ? (metadata[STEP + name] ?? '') : '';
      if (dtype !== 'I32') throw invalid(`tensor ${JSON.stringify(name)} has the type ${dtype}, not I32`);
      if (!/^(?:0|-?[1-9]\d{0,2})$/.test(step)) throw invalid(`tensor ${JSON.stringify(name)} has no step`);
      return { name, shape, exponent: Number(step) };
    }),
  );
  const rest = Object.entries(metadata).filter(([key]) => !key.startsWith(STEP));
  if (rest.length + tensors.size !== Object.keys(metadata).length)
    throw invalid('it has a step without a tensor');
  // Without holes and sorted by name, the tensors' data are the vector; a file in another order is not ours.
  if ([...tensors.keys()].some((name, i) => name !== layout.tensors[i]?.name))
    throw invalid('its tensors are not in the byte order of their names');
  const params = int32View(bytes.subarray(bytes.length - 4 * layout.dimension));
  return { layout, params, metadata: Object.fromEntries(rest) };
}

const STEP = 'step.';

function readLayout(tensors: Parameters<typeof layoutOf>[0]): Layout {
  try {
    return layoutOf(tensors);
  } catch (cause) {
    throw new RoundtableError('FORMAT_INVALID', `Not a model version: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function invalid(reason: string): RoundtableError {
  return new RoundtableError('FORMAT_INVALID', `Not a model version: ${reason}.`);
}
