import { Context } from '@temporalio/activity';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';

/** Well within the heartbeat timeout of proxies.workflow.ts. */
const everyMs = 5_000;

/** Heartbeats while an activity waits: for confirmations, a gateway, cheaper gas. Without them it would be started again. */
export function aliveInterceptor(): ActivityInboundCallsInterceptor {
  return {
    async execute(input, next) {
      const context = Context.current();
      if (context.info.isLocal) return next(input);
      const timer = setInterval(() => context.heartbeat(), everyMs);
      try {
        return await next(input);
      } finally {
        clearInterval(timer);
      }
    },
  };
}
