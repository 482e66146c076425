import { handle } from 'hono/aws-lambda';
import { openLog } from '#services/log.js';
import { openFunctionTelemetry } from '#services/telemetry/telemetry.js';
import { flushing } from '#services/telemetry/traces.js';
import { apiApp } from './app.js';
import { openApiParts } from './parts.js';

const log = openLog('api');
const telemetry = openFunctionTelemetry('api', log);

/** Lambda behind API Gateway (payload format 2.0). */
export const handler = flushing(telemetry.traces, handle(apiApp(openApiParts(log, telemetry))));
