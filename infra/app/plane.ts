import { readSettings, stageRules } from '../settings.js';
import { createAlarms } from './alarms.js';
import { createApi } from './api.js';
import { createBucket } from './bucket.js';
import { createDashboard } from './dashboard.js';
import { createFunctions } from './functions.js';
import { giveParameters, takeParameters } from './parameters.js';
import { createQueues } from './queues.js';
import { createSchedules } from './schedules.js';
import { createSecrets } from './secrets.js';
import { createSite } from './site.js';
import { createTable } from './table.js';

/** The app plane of one stage, from the top. */
export function appPlane() {
  const settings = readSettings($app.stage);
  const rules = stageRules($app.stage);

  const compute = takeParameters();
  const secrets = createSecrets();
  const table = createTable(rules);
  const bucket = createBucket(rules);
  const queues = createQueues();
  const functions = createFunctions({ settings, rules, compute, secrets, table, bucket, queues });
  const api = createApi(functions, rules);
  createSchedules(functions);
  createAlarms({ settings, functions, queues, table, api });
  createDashboard({ region: settings.region, functions, queues, table, api });
  const site = createSite({ settings, rules, api });
  giveParameters({
    'table/name': table.name,
    'table/arn': table.arn,
    'bucket/name': bucket.name,
    'bucket/arn': bucket.arn,
    'jobs-queue/name': queues.jobs.queue.nodes.queue.name,
    'credits-queue/url': queues.credits.queue.url,
    'credits-queue/arn': queues.credits.queue.arn,
    'sum-function/name': functions.sum.name,
    'sum-function/arn': functions.sum.arn,
    'api/url': api.url,
  });
  return { api: api.url, page: $interpolate`https://${site.domainName}` };
}
