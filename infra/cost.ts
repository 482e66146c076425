import { seenEverySeconds } from '#core/entryMessages.js';
import { gatekeeperFigures } from './figures.js';
import { functions } from './functions.js';
import { hoursOfMonth, prices } from './prices.js';
import type { StageRules } from './settings.js';
import { sumCost, sumRules } from './sumCost.js';
import { taskSizes, temporalServices, type TaskSize } from './tasks.js';

export interface Load {
  runners: number;
  /** A month. */
  rounds: number;
  /** Of the model; an update and a version take four bytes each. */
  parameters: number;
  kind: StageRules['kind'];
}

export interface CostLine {
  service: string;
  /** What is counted, in words. */
  what: string;
  /** US dollars a month. */
  dollars: number;
}

/** What no price list of AWS has. */
export const notIncluded = [
  'the archive on Arweave and gas on the chain',
  'runners on EC2, which are paid by the hour they train',
  'visitors of the page, by CloudFront',
  'support, taxes, and discounts of any kind',
];

/** The month of one stage, by service. Every runner is outside AWS, takes part in every round and is always on. */
export function monthlyCost(load: Load): CostLine[] {
  const { runners, rounds, parameters, kind } = load;
  const production = kind === 'production';
  const gigabytes = (4 * parameters) / 1e9;
  const shares = runners * rounds;

  // The gatekeeper writes who is here. A runner's own requests: one a minute all month; in each round one for the
  // model's address, one to upload, and some to tell how far it is.
  const seen = (runners * hoursOfMonth * 3600) / seenEverySeconds;
  const told = runners * hoursOfMonth * 60 + reportsOfOneShare * shares;
  const requests = told + 2 * shares;
  const sweeps = hoursOfMonth * 60;
  const settlements = hoursOfMonth;
  const credits = shares / creditsOfOneBatch;
  const busy: Record<keyof typeof functions, number> = {
    webhook: 0,
    api: requests,
    dispatch: rounds / roundsOfOneJob,
    reward: credits,
    settle: settlements,
    sweep: sweeps,
    // In a line of its own: its calls take as long as the updates are large.
    sum: 0,
  };
  const gigabyteSeconds = Object.entries(busy).reduce(
    (sum, [name, calls]) =>
      sum + (calls * secondsOfOneCall * functions[name as keyof typeof functions].memory) / 1024,
    0,
  );
  const calls = Object.values(busy).reduce((sum, each) => sum + each, 0);

  const { temporal, gatekeeper, worker } = taskSizes(kind);
  const gateways = production ? 2 : 1;
  // Queues, functions, API and table; services with their memory, database, entrance and its certificate.
  const alarms = 4 + 2 * Object.keys(functions).length + 3 + 2 * (temporalServices(kind).length + 2) + 3;

  return [
    { service: 'ECS', what: 'Temporal', dollars: temporalServices(kind).length * fargate(temporal) },
    { service: 'ECS', what: 'gatekeepers', dollars: fargate(gatekeeper) },
    { service: 'ECS', what: 'workflow worker', dollars: fargate(worker) },
    {
      service: 'Load balancer',
      what: 'in front of the gatekeepers, in two zones',
      dollars:
        hoursOfMonth *
        (prices.networkLoadBalancerHour + prices.networkLoadBalancerUnitHour + 2 * prices.publicAddressHour),
    },
    {
      service: 'Aurora',
      what: `${production ? 2 : 1} x 0.5 ACU, 10 GB`,
      dollars:
        (production ? 2 : 1) * 0.5 * hoursOfMonth * prices.auroraAcuHour +
        10 * prices.auroraStorageGigabyteMonth,
    },
    {
      service: 'VPC',
      what: `${gateways} NAT gateway${gateways > 1 ? 's' : ''}`,
      dollars:
        gateways * hoursOfMonth * (prices.natGatewayHour + prices.publicAddressHour) +
        rounds * gigabytes * prices.natGatewayGigabyte,
    },
    {
      service: 'Lambda',
      what: 'functions',
      dollars: calls * prices.lambdaRequest + gigabyteSeconds * prices.lambdaArmGigabyteSecond,
    },
    ...sumLines(load),
    { service: 'API Gateway', what: 'requests of runners', dollars: requests * prices.httpApiRequest },
    {
      service: 'DynamoDB',
      what: 'signs of life, rounds, credits',
      dollars:
        (seen + told + rounds * writesOfOneRound + shares * writesOfOneShare) * prices.dynamoWrite +
        // Each gatekeeper reads every second who is barred.
        (requests + shares * readsOfOneShare + gatekeeper.count * hoursOfMonth * 3600) * prices.dynamoRead,
    },
    {
      service: 'SQS',
      what: 'credits, and asking for messages',
      // Lambda asks each of two queues with five pollers that wait 20 seconds each.
      dollars: (3 * shares + (2 * 5 * hoursOfMonth * 3600) / 20) * prices.sqsRequest,
    },
    {
      service: 'S3',
      what: 'updates and versions of this month, half of it',
      dollars:
        ((runners + 1) * rounds * gigabytes * prices.s3GigabyteMonth) / 2 +
        (runners + 1) * rounds * prices.s3Put +
        2 * shares * prices.s3Get,
    },
    { service: 'Transfer', what: 'models to runners', dollars: shares * gigabytes * prices.internetGigabyte },
    {
      service: 'CloudWatch',
      what: 'alarms, figures, logs',
      dollars:
        alarms * prices.alarmMonth +
        Object.keys(gatekeeperFigures).length * prices.metricMonth +
        ((calls * bytesOfOneLog) / 1e9) * prices.logsGigabyte,
    },
    {
      service: 'Secrets',
      what: 'eleven secrets, two keys',
      dollars: 11 * prices.secretMonth + 2 * prices.keyMonth,
    },
  ];
}

/** What each month adds to every month after it: nothing that a manifest names is ever deleted. */
export function growingCost({ runners, rounds, parameters }: Load): number {
  return (((runners + 1) * rounds * 4 * parameters) / 1e9) * prices.s3GigabyteMonth;
}

/** Nothing where the worker adds by itself. */
function sumLines({ parameters, runners, rounds }: Load): CostLine[] {
  if (parameters <= sumRules.most || runners === 0) return [];
  const { functions: shards, dollars } = sumCost({ parameters, runners });
  return [
    {
      service: 'Lambda and S3',
      what: `sums of large updates, ${shards} functions a round`,
      dollars: rounds * dollars.total,
    },
  ];
}

const fargate = ({ vcpu, memory, count }: TaskSize): number =>
  count * hoursOfMonth * (vcpu * prices.fargateVcpuHour + memory * prices.fargateGigabyteHour);

/** Assumptions; docs/operations.md names them. */
const secondsOfOneCall = 0.05;
const creditsOfOneBatch = 10;
const roundsOfOneJob = 10;
const writesOfOneRound = 12;
/** A credit and its runner's sum, in a transaction, which counts each twice. */
const writesOfOneShare = 4;
const readsOfOneShare = 2;
const reportsOfOneShare = 10;
/** Start, end and report of a call and the gateway's line. */
const bytesOfOneLog = 900;
