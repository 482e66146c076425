import type { AdapterOptions } from './adapters.js';
import type { ReadOptions } from './model.js';
import { matcher } from './patterns.js';

/** What of a model is trained, in patterns: everything, some weights, or adapters beside some (and weights, if named). */
export function whatIsTrained(written: {
  readonly trainable?: readonly string[];
  readonly lora?: AdapterOptions;
  readonly batchNorm?: 'frozen' | 'local';
}): ReadOptions {
  return {
    ...(written.trainable ? { trainable: matcher(written.trainable) } : {}),
    ...(written.batchNorm ? { batchNorm: written.batchNorm } : {}),
    ...(written.lora ? { adapters: written.lora } : {}),
  };
}
