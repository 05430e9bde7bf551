// arrival: market orders at a constant rate (RATE, 500 a second) for thirty seconds, whatever the answers do.
// Proves that this rate is taken in without a queue: no iteration is dropped for want of a free client, and p99 stays low.
import { market, post, STATS, summary } from './orders.js';

export const options = {
  scenarios: {
    arrival: {
      executor: 'constant-arrival-rate', rate: Number(__ENV.RATE || 500), timeUnit: '1s', duration: __ENV.DURATION || '30s',
      preAllocatedVUs: 200, maxVUs: 1000,
    },
  },
  summaryTrendStats: STATS,
  thresholds: {
    checks: ['rate==1'], http_req_failed: ['rate==0'], http_req_duration: ['p(99)<250'], dropped_iterations: ['count==0'],
  },
};
export default function () {
  post(market(), 'market');
}
export { summary as handleSummary };
