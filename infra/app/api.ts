import type { StageRules } from '../settings.js';
import type { Functions } from './functions.js';

/** The HTTP API. Signatures are checked by the functions, over the raw body; the gateway only limits the rate. */
export function createApi(functions: Functions, rules: StageRules) {
  const api = new sst.aws.ApiGatewayV2('Gateway', {
    // The function answers browsers of other origins itself, with the same headers everywhere.
    cors: false,
    accessLog: { retention: retention[rules.logDays] },
    transform: {
      stage: {
        defaultRouteSettings: {
          throttlingBurstLimit: 200,
          throttlingRateLimit: 100,
          detailedMetricsEnabled: true,
        },
      },
    },
  });
  api.route('POST /webhooks/{trigger}', functions.webhook.arn);
  api.route('$default', functions.api.arn);
  return api;
}

const retention = { 7: '1 week', 30: '1 month', 365: '1 year' } as const;
