/** For every operator that can be trained: small graphs with shapes and attributes drawn at random. */
import * as fc from 'fast-check';
import type { Case } from './operators/case.js';
import { elementwise } from './operators/elementwise.js';
import { moving } from './operators/layout.js';
import { linear, overlapping } from './operators/linear.js';
import { reducing } from './operators/reducing.js';
import { sequences } from './operators/sequences.js';

export const cases: Record<string, fc.Arbitrary<Case>> = {
  ...linear,
  ...elementwise,
  ...reducing,
  ...moving,
  ...sequences,
  MaxPool: fc.oneof(linear['MaxPool'] ?? overlapping, overlapping),
};
