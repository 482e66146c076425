import { handle } from 'hono/aws-lambda';
import { openLog } from '../log.js';
import { apiApp } from './app.js';
import { openApiParts } from './parts.js';

/** Lambda behind API Gateway (payload format 2.0). */
export const handler = handle(apiApp(openApiParts(openLog('api'))));
