import { expect, test } from '@jest/globals';
import { decodeDataset, encodeDataset } from '#local/consortium/dataset.js';
import { few } from '../support/digits.js';

test('data sets survive being written and read', () => {
  const data = few(3);
  expect(decodeDataset(encodeDataset(data), 'digits')).toEqual({ ...data, y: Int32Array.from(data.y) });
});
