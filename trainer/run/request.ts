import { RoundtableError } from '#core/errors.js';
import { isPlain } from '../optimizers.js';
import type { TrainRequest } from './messages.js';

/** @throws INVALID_INPUT naming every mistake */
export function checkRequest(request: TrainRequest): void {
  const { epochs, batch, optimizer, throttle = 1, prox = 0, seed, accumulate = 1, control, limits } = request;
  const mistakes = [
    ...whole('epochs', epochs),
    ...whole('batch', batch),
    ...whole('accumulate', accumulate),
    ...(batch % accumulate === 0
      ? []
      : [`accumulate is ${accumulate}; a divisor of the batch ${batch} is expected`]),
    ...(Number.isFinite(optimizer.lr) && optimizer.lr > 0
      ? []
      : [`lr is ${optimizer.lr}; a number above 0 is expected`]),
    ...(Number.isFinite(prox) && prox >= 0 ? [] : [`prox is ${prox}; a number from 0 is expected`]),
    ...(Number.isFinite(throttle) && throttle >= 1
      ? []
      : [`throttle is ${throttle}; a number from 1 is expected`]),
    ...(seed.length === 32 ? [] : [`seed has ${seed.length} bytes; 32 are expected`]),
    ...(control && !isPlain(optimizer)
      ? ['control variates go with plain SGD; momentum and Adam would correct what they keep, not the step']
      : []),
    ...positive('clipNorm', request.clipNorm),
    ...positive('limits.memoryBytes', limits?.memoryBytes),
    ...positive('limits.seconds', limits?.seconds),
  ];
  if (mistakes.length > 0)
    throw new RoundtableError('INVALID_INPUT', `The training cannot start: ${mistakes.join('; ')}.`);
}

function whole(name: string, value: number): string[] {
  return Number.isSafeInteger(value) && value >= 1
    ? []
    : [`${name} is ${value}; a whole number from 1 is expected`];
}

function positive(name: string, value: number | undefined): string[] {
  return value === undefined || value > 0 ? [] : [`${name} is ${value}; a number above 0 is expected`];
}
