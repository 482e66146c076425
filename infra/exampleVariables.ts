import { deploymentAt } from '#contracts/deployment.js';
import type { Variable } from './functions.js';

const address = '0x00000000000000000000000000000000000000aa';
/** What lets a function load where there is no AWS: every variable that one can be told, of the right form. */
export const exampleVariables: Record<Variable, string> = {
  TABLE_NAME: 'table',
  BUCKET_NAME: 'bucket',
  JOBS_QUEUE_URL: 'https://sqs.eu-central-1.amazonaws.com/111122223333/jobs',
  JOBS_DEAD_URL: 'https://sqs.eu-central-1.amazonaws.com/111122223333/jobs-dead',
  CREDITS_QUEUE_URL: 'https://sqs.eu-central-1.amazonaws.com/111122223333/credits',
  CREDITS_DEAD_URL: 'https://sqs.eu-central-1.amazonaws.com/111122223333/credits-dead',
  TEMPORAL_ADDRESS: 'temporal.internal:7233',
  TEMPORAL_NAMESPACE: 'default',
  TEMPORAL_CREDENTIALS_SECRET: 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:temporal-credentials',
  COORDINATOR_ADDRESS: address,
  CHAIN_RPC_URLS: 'https://chain.example.org',
  STACK_ENTRANCE: 'null',
  CHAIN_DEPLOYMENT: JSON.stringify(deploymentAt(address, 8453)),
  CHAIN_NETWORK: '{}',
};
