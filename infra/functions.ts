/**
 * The functions as they are deployed: how large, what they are told, and what they may do. The app plane makes
 * them from this table; nothing else grants anything.
 */

/** What a function can be told, and what it can be allowed to touch. */
export type Variable =
  | 'TABLE_NAME'
  | 'BUCKET_NAME'
  | 'JOBS_QUEUE_URL'
  | 'JOBS_DEAD_URL'
  | 'CREDITS_QUEUE_URL'
  | 'CREDITS_DEAD_URL'
  | 'TEMPORAL_ADDRESS'
  | 'TEMPORAL_NAMESPACE'
  | 'TEMPORAL_CREDENTIALS_SECRET'
  | 'COORDINATOR_ADDRESS'
  | 'CHAIN_RPC_URLS'
  | 'CHAIN_DEPLOYMENT'
  | 'CHAIN_NETWORK'
  | 'STACK_ENTRANCE';

export interface FunctionShape {
  /** MB; the processor's share grows with it (1,769 MB are one core). */
  memory: number;
  /** Seconds; a queue's visibility time-out is six times that of its function. */
  timeout: number;
  variables: readonly Variable[];
  may: {
    table: readonly TableAction[];
    /** Secondary indexes are queried, never written. */
    indexes?: true;
    bucket?: readonly ('s3:GetObject' | 's3:PutObject' | 's3:ListMultipartUploadParts' | 's3:ListBucket')[];
    /** Of the bucket's folders only these. */
    folders?: readonly BucketFolder[];
    /** Ring for jobs. */
    jobs?: readonly 'sqs:SendMessage'[];
    /** Taken from by this function's event source mapping; what it cannot process it lays aside. */
    takes?: 'jobs' | 'credits';
    /** Looks into all queues and puts dead letters back. */
    redrives?: true;
  };
}

export const bucketFolders = ['sha256', 'incoming', 'updates'] as const;
export type BucketFolder = (typeof bucketFolders)[number];

export type TableAction =
  | 'dynamodb:GetItem'
  | 'dynamodb:BatchGetItem'
  | 'dynamodb:PutItem'
  | 'dynamodb:UpdateItem'
  | 'dynamodb:Query';

/** One row, and several that are asked for together. */
const readRows = ['dynamodb:GetItem', 'dynamodb:BatchGetItem'] as const;

export const functions = {
  webhook: {
    memory: 512,
    timeout: 10,
    variables: ['TABLE_NAME', 'JOBS_QUEUE_URL', 'COORDINATOR_ADDRESS'],
    may: { table: [...readRows, 'dynamodb:PutItem'], jobs: ['sqs:SendMessage'] },
  },
  api: {
    memory: 1024,
    timeout: 29,
    variables: [
      'TABLE_NAME',
      'BUCKET_NAME',
      'JOBS_QUEUE_URL',
      'JOBS_DEAD_URL',
      'CREDITS_QUEUE_URL',
      'CREDITS_DEAD_URL',
      'TEMPORAL_ADDRESS',
      'TEMPORAL_NAMESPACE',
      'TEMPORAL_CREDENTIALS_SECRET',
      'COORDINATOR_ADDRESS',
      'CHAIN_RPC_URLS',
      'CHAIN_DEPLOYMENT',
      'STACK_ENTRANCE',
      'CHAIN_NETWORK',
    ],
    may: {
      table: [...readRows, 'dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:Query'],
      indexes: true,
      // Without ListBucket S3 answers 403, not 404, for an object that is not there.
      bucket: ['s3:GetObject', 's3:PutObject', 's3:ListMultipartUploadParts', 's3:ListBucket'],
      jobs: ['sqs:SendMessage'],
      redrives: true,
    },
  },
  dispatch: {
    memory: 1024,
    timeout: 30,
    variables: [
      'TABLE_NAME',
      'JOBS_QUEUE_URL',
      'JOBS_DEAD_URL',
      'TEMPORAL_ADDRESS',
      'TEMPORAL_NAMESPACE',
      'TEMPORAL_CREDENTIALS_SECRET',
    ],
    may: { table: [...readRows, 'dynamodb:UpdateItem'], takes: 'jobs' },
  },
  reward: {
    memory: 512,
    timeout: 30,
    variables: ['TABLE_NAME', 'CREDITS_QUEUE_URL', 'CREDITS_DEAD_URL'],
    may: { table: [...readRows, 'dynamodb:PutItem'], takes: 'credits' },
  },
  settle: {
    memory: 1024,
    timeout: 30,
    variables: [
      'TABLE_NAME',
      'TEMPORAL_ADDRESS',
      'TEMPORAL_NAMESPACE',
      'TEMPORAL_CREDENTIALS_SECRET',
      'COORDINATOR_ADDRESS',
    ],
    may: { table: [...readRows, 'dynamodb:Query'], indexes: true },
  },
  sweep: {
    memory: 512,
    timeout: 60,
    variables: ['TABLE_NAME', 'JOBS_QUEUE_URL'],
    may: {
      table: [...readRows, 'dynamodb:UpdateItem'],
      indexes: true,
      jobs: ['sqs:SendMessage'],
    },
  },
  // Called by the worker, which waits as long for an activity; one core, and twice what a range of 2^24 values takes.
  sum: {
    memory: 1769,
    timeout: 540,
    variables: ['BUCKET_NAME'],
    may: { table: [], bucket: ['s3:GetObject', 's3:PutObject'], folders: ['updates'] },
  },
} as const satisfies Record<string, FunctionShape>;

export type FunctionName = keyof typeof functions;

/** Those that talk to Temporal stand in its network and read its credentials; the others need neither. */
export const isInNetwork = (shape: FunctionShape): boolean => shape.variables.includes('TEMPORAL_ADDRESS');

/** Schedules of the cloud; a minute is the shortest that EventBridge Scheduler has. */
export const schedules = { sweep: 'rate(1 minute)', settle: 'rate(1 hour)' } as const;
