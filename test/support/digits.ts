import { mnistDigits, type Dataset } from '#local/consortium/dataset.js';

export const { train, heldOut } = mnistDigits();

/** The first digits of a set: enough to see that something is learnt, and quick. */
export const few = (samples: number, of: Dataset = train): Dataset => ({
  ...of,
  x: of.x.slice(0, samples * 784),
  y: of.y.slice(0, samples),
});
