/**
 * AWS list prices in US dollars, us-east-1, on demand, without free tiers, as docs/operations.md lists them with
 * their pages. Other regions are up to a third dearer. Update the date with every price that is looked up again.
 */
export const pricesAsOf = '2026-06';

export const prices = {
  fargateVcpuHour: 0.04048,
  fargateGigabyteHour: 0.004445,
  auroraAcuHour: 0.12,
  auroraStorageGigabyteMonth: 0.1,
  natGatewayHour: 0.045,
  natGatewayGigabyte: 0.045,
  publicAddressHour: 0.005,
  networkLoadBalancerHour: 0.0225,
  networkLoadBalancerUnitHour: 0.006,
  lambdaRequest: 0.2e-6,
  lambdaArmGigabyteSecond: 0.0000133334,
  httpApiRequest: 1e-6,
  sqsRequest: 0.4e-6,
  dynamoWrite: 0.625e-6,
  dynamoRead: 0.125e-6,
  s3GigabyteMonth: 0.023,
  s3Put: 5e-6,
  s3Get: 0.4e-6,
  internetGigabyte: 0.09,
  logsGigabyte: 0.5,
  alarmMonth: 0.1,
  metricMonth: 0.3,
  secretMonth: 0.4,
  keyMonth: 1,
} as const;

/** Hours of an average month, as AWS reckons. */
export const hoursOfMonth = 730;
