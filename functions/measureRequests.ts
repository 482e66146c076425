import type { Env, Hono } from 'hono';
import { routePath } from 'hono/route';
import type { Metrics } from '#services/telemetry/metrics.js';

/**
 * Times every request below a path by its route, never by its own path: those are as many as there are jobs.
 * @param path e.g. `/v1/*`
 */
export function measureRequests<E extends Env>(app: Hono<E>, path: string, metrics: Metrics): void {
  app.use(path, async (context, next) => {
    const start = performance.now();
    await next();
    const labels = {
      method: context.req.method,
      // Of whoever answered, now that it has.
      route: routePath(context),
      status: String(context.res.status),
    };
    metrics.record('http_request_seconds', labels, (performance.now() - start) / 1_000);
  });
}
