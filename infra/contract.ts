/**
 * What the two planes hand each other, as SSM parameters. The planes are deployed by different tools and meet
 * only here: the compute plane's network and Temporal first, then the app plane, then worker and fleet.
 */

/** Given by the compute plane, taken by the app plane. Lists are joined by commas. */
export const computeGives = [
  'network/private-subnets',
  'network/function-security-group',
  'temporal/address',
  'temporal/namespace',
  'temporal/credentials-secret',
] as const;

/** Given by the app plane, taken by the compute plane. */
export const appGives = [
  'table/name',
  'table/arn',
  'bucket/name',
  'bucket/arn',
  'jobs-queue/name',
  'credits-queue/url',
  'credits-queue/arn',
  'sum-function/name',
  'sum-function/arn',
  'api/url',
] as const;

export type FromCompute = (typeof computeGives)[number];
export type FromApp = (typeof appGives)[number];

/** @example parameterName('production', 'table/name') // '/roundtable/production/table/name' */
export const parameterName = (stage: string, name: FromCompute | FromApp): string =>
  `/roundtable/${stage}/${name}`;
